//! On a terminal: what happens is keys, answers and signals, and all of it comes by one channel.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, raise};
use ratatui::crossterm::event::{self, Event};

use super::keys;
use super::model::{Effect, Model, Sample};
use super::reader::Reader;
use super::source::{Place, Question};
use super::terminal::Screen;
use super::view::{Palette, draw};
use crate::cli::Failure;

/// The signals that end it as `q` does.
const ENDING: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];

/// How long is waited where nothing is due.
const LONG: Duration = Duration::from_secs(3_600);

/// What happens.
enum Happening {
    Input(io::Result<Event>),
    Answer(Result<Sample, Failure>),
    /// A signal, or the end of a thread without which there is nothing to show.
    End,
}

/// Tells what happens, and in the end that it is the end, also that of a panic.
struct Teller(Sender<Happening>);

impl Teller {
    /// Whether anybody takes it.
    fn tell(&self, happening: Happening) -> bool {
        self.0.send(happening).is_ok()
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.tell(Happening::End);
    }
}

/// Shows a model, and what is read for it, until the user has seen enough.
pub(super) fn run(mut model: Model, place: Place, palette: Palette) -> Result<(), Failure> {
    let (sender, happenings) = channel();
    // Before any other thread is there, so that no other thread takes the signals.
    wait_for_signals(Teller(sender.clone())).map_err(io::Error::from)?;
    let teller = Teller(sender.clone());
    let mut reader = Reader::start(place, move |answer| teller.tell(Happening::Answer(answer)));
    // What does not work at all is said without taking over the terminal.
    ask(&mut reader, &model, true);
    match happenings.recv() {
        Ok(Happening::Answer(answer)) => model.take(answer?),
        Ok(Happening::Input(_) | Happening::End) | Err(_) => return Ok(()),
    }
    reader.answered();
    let mut screen = Screen::open()?;
    listen_to_keys(Teller(sender));
    show(&mut model, &mut reader, &happenings, &mut screen, palette)
}

fn show(
    model: &mut Model,
    reader: &mut Reader,
    happenings: &Receiver<Happening>,
    screen: &mut Screen,
    palette: Palette,
) -> Result<(), Failure> {
    let mut next = Instant::now() + model.interval;
    loop {
        screen.terminal().draw(|frame| draw(frame, model, palette))?;
        let is_due = !model.paused && !reader.is_asked();
        let wait = if is_due { next.saturating_duration_since(Instant::now()) } else { LONG };
        match happenings.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) if !is_due => {}
            Err(RecvTimeoutError::Timeout) => {
                next = Instant::now() + model.interval;
                ask(reader, model, true);
            }
            Ok(Happening::Answer(answer)) => {
                reader.answered();
                take(model, answer);
                read_newly_wanted(reader, model);
            }
            Ok(Happening::Input(event)) => {
                let Event::Key(key) = event? else { continue };
                let effect = keys::command(key, model.typing).map(|command| model.apply(command));
                match effect.unwrap_or(Effect::Nothing) {
                    Effect::Nothing => {}
                    Effect::Read => read_newly_wanted(reader, model),
                    Effect::Suspend => screen.lend(|| {
                        // Nothing happens where no shell could let us go on.
                        let _ = raise(Signal::SIGTSTP);
                    })?,
                    Effect::Quit => return Ok(()),
                }
            }
            Ok(Happening::End) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// What fails is shown until it works again: an agent may be on its way back.
fn take(model: &mut Model, answer: Result<Sample, Failure>) {
    match answer {
        Ok(sample) => model.take(sample),
        Err(failure) => model.problem = Some(failure.to_string()),
    }
}

/// Reads a Service that was gone into since the last question, without waiting for the next look at all of them.
fn read_newly_wanted(reader: &mut Reader, model: &Model) {
    let is_new = model.drilled.as_ref().is_some_and(|drilled| !drilled.is_read);
    if is_new && !reader.is_asked() && model.problem.is_none() {
        ask(reader, model, false);
    }
}

fn ask(reader: &mut Reader, model: &Model, services: bool) {
    reader.ask(Question { services, service: model.wanted().cloned() });
}

/// From now on these signals are told instead of ending the process where it stands.
fn wait_for_signals(teller: Teller) -> nix::Result<()> {
    let signals: SigSet = ENDING.into_iter().collect();
    signals.thread_block()?;
    thread::spawn(move || while signals.wait().is_ok() && teller.tell(Happening::End) {});
    Ok(())
}

/// A terminal that is gone ends it.
fn listen_to_keys(teller: Teller) {
    thread::spawn(move || {
        loop {
            let event = event::read();
            let is_last = event.is_err();
            if !teller.tell(Happening::Input(event)) || is_last {
                return;
            }
        }
    });
}
