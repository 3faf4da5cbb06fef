//! Reading on a thread of its own, so that keys work while an answer is waited for.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::model::Sample;
use super::source::{Place, Question, Source};
use crate::cli::Failure;

/// Asks the reading thread, which ends with this value.
pub(super) struct Reader {
    questions: Sender<Question>,
    /// Whether an answer is due.
    is_asked: bool,
}

impl Reader {
    /// Starts the thread; answers go to `tell`, until that says that nobody takes them.
    pub(super) fn start(
        place: Place,
        tell: impl Fn(Result<Sample, Failure>) -> bool + Send + 'static,
    ) -> Self {
        let (questions, asked) = channel();
        thread::spawn(move || answer(&place, &asked, tell));
        Self { questions, is_asked: false }
    }

    /// Whether an answer is due.
    pub(super) fn is_asked(&self) -> bool {
        self.is_asked
    }

    pub(super) fn ask(&mut self, question: Question) {
        self.is_asked = true;
        // A thread that has ended does not hear it; its end is told by whoever it told answers.
        drop(self.questions.send(question));
    }

    /// An answer has come.
    pub(super) fn answered(&mut self) {
        self.is_asked = false;
    }
}

/// What is asked is opened here: sockets of the kernel are their thread's.
fn answer(place: &Place, asked: &Receiver<Question>, tell: impl Fn(Result<Sample, Failure>) -> bool) {
    let mut source = None;
    for question in asked {
        let answer = match &mut source {
            Some(source) => Source::read(source, &question),
            none => Source::open(place).and_then(|opened| none.insert(opened).read(&question)),
        };
        if !tell(answer) {
            return;
        }
    }
}
