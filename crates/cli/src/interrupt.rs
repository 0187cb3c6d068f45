//! Ctrl-C and SIGTERM ask for a stop at the next safe point; a second one stops at once.

use das_core::progress::Cancel;

/// Installs the handler and returns the flag that it sets.
pub fn install() -> anyhow::Result<Cancel> {
    let cancel = Cancel::default();
    let flag = cancel.clone();
    ctrlc::set_handler(move || {
        if flag.requested() {
            std::process::exit(1);
        }
        flag.request();
        eprintln!("stopping at the next safe point; press Ctrl-C again to stop at once");
    })?;
    Ok(cancel)
}
