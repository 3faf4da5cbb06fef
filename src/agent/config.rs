//! Follows the configuration file.
//!
//! The file is small and looked at every few seconds, which finds every way in which it may be replaced: over itself, by a
//! rename, by the links of a ConfigMap volume. SIGHUP makes it be looked at once.

use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::settings::{Settings, Source};

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// Sends settings when the file has changed, as far as they can take effect; runs for ever.
pub(super) async fn follow(source: Source, mut settings: Settings, sender: mpsc::Sender<Settings>) {
    let Ok(mut hang_up) = signal(SignalKind::hangup()) else { return };
    let Some(path) = source.config.clone() else {
        // Without a file there is nothing to look at, but the signal should not end the agent.
        while hang_up.recv().await.is_some() {}
        return;
    };
    let mut known = None;
    loop {
        let text = read(&path).await;
        if known.as_ref() != Some(&text) {
            // The first time too, since the file may have changed after the settings were made of it. What it has to say
            // was told then.
            let told = known.replace(text).is_none();
            if let Some(new) = load(&source, &settings, told) {
                settings = new;
                if sender.send(settings.clone()).await.is_err() {
                    return;
                }
            }
        }
        tokio::select! {
            _ = hang_up.recv() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// The content of the file; nothing where it cannot be read, as while it is being replaced.
async fn read(path: &Path) -> Option<Vec<u8>> {
    tokio::fs::read(path).await.ok()
}

fn load(source: &Source, settings: &Settings, told: bool) -> Option<Settings> {
    let loaded = match source.load() {
        Ok(loaded) => loaded,
        Err(error) => {
            tracing::error!("the configuration stays as it was: {error}");
            return None;
        }
    };
    for note in loaded.notes.iter().filter(|_| !told) {
        tracing::info!("{note}");
    }
    let reload = settings.reload(&loaded.settings);
    if !reload.needs_restart.is_empty() {
        tracing::warn!("{} take effect when the agent is started again", reload.needs_restart.join(", "));
    }
    if reload.in_force.is_empty() {
        return None;
    }
    tracing::info!("the configuration has changed: {}", reload.in_force.join(", "));
    Some(reload.settings)
}
