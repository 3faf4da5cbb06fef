//! A shell that types what a document says.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How long a command may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What tells the end of a command's output; it is followed by the code and a line feed.
const END: &str = "\n\u{1}";

/// What a shell does with an agent in the foreground: it ends it once its first complete ruleset is in force or printed. What it
/// says is shown where it does not end well.
const UNTIL_READY: &str = r#"
until_ready() {
    local agent=$! log=$1
    until grep --quiet 'first complete ruleset' "$log"; do
        kill -0 $agent 2>/dev/null || break
        sleep 0.05
    done
    kill -TERM $agent 2>/dev/null
    wait $agent
    local code=$?
    [[ $code == 0 ]] || cat "$log"
    return $code
}
"#;

/// A shell, which ends with all that it has started when this is dropped.
pub struct Shell {
    child: Child,
    output: Receiver<Vec<u8>>,
    folder: PathBuf,
}

impl Shell {
    /// Starts what `command` says, which must become a bash that reads commands; `folder` is for files of its own.
    pub fn start(mut command: Command, folder: PathBuf) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // All that it starts in the background can be ended by this group.
            .process_group(0)
            .spawn()
            .expect("a shell");
        let mut stdout = child.stdout.take().unwrap();
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut shell = Self { child, output, folder };
        assert_eq!(shell.run(UNTIL_READY), (0, String::new()));
        shell
    }

    /// Runs a command in the foreground; the code that it ends with and what it prints.
    ///
    /// An agent in the foreground would run for ever. It is ended by SIGTERM as soon as it is ready.
    pub fn run(&mut self, command: &str) -> (i32, String) {
        let runs_for_ever = command.starts_with("svcnat agent ")
            && !command.ends_with('&')
            && !["--write-config-to", "--init-only"].iter().any(|flag| command.contains(flag));
        let log = self.folder.join("agent.log");
        let command = if runs_for_ever {
            format!(": >{log}\n{command} >>{log} 2>&1 &\nuntil_ready {log}", log = log.display())
        } else {
            command.to_owned()
        };
        // In a file, so that no command can read the next one as its input.
        let file = self.folder.join("command");
        fs::write(&file, &command).unwrap();
        let line = format!(". '{}' </dev/null; printf '\\n\\001%s\\n' $?\n", file.display());
        self.child.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        self.until_end(&command)
    }

    fn until_end(&mut self, command: &str) -> (i32, String) {
        let (deadline, mut bytes) = (Instant::now() + PATIENCE, Vec::new());
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if let Some((printed, code)) = text.split_once(END)
                && let Some(code) = code.strip_suffix('\n')
            {
                return (code.parse().unwrap(), printed.to_owned());
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(more) => bytes.extend(more),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("`{command}` does not end; so far it printed\n{text}")
                }
                Err(RecvTimeoutError::Disconnected) => panic!("`{command}` ended the shell\n{text}"),
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // It may have ended already.
        if let Ok(group) = self.child.id().try_into() {
            killpg(Pid::from_raw(group), Signal::SIGKILL).unwrap_or_default();
        }
        drop(self.child.wait());
    }
}
