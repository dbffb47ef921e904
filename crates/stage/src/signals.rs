//! SIGINT and SIGTERM: the first asks long loops to stop, the second ends the process.
//! SIGXFSZ: swallowed, so that a file over the size limit is a failed write like others.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

use crate::{Error, Fault, Result};

/// The signal that was received, 0 for none.
static RECEIVED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// Starts to listen; called once, by [`crate::main`].
pub(crate) fn listen() -> Result<()> {
    let cannot = |e| Error::internal(format!("cannot listen to signals: {e}"));
    // One flag for both: a SIGTERM after a SIGINT is a second signal.
    let again = Arc::new(AtomicBool::new(false));
    for (signal, fault) in [(SIGINT, Fault::Interrupted), (SIGTERM, Fault::Terminated)] {
        // The order matters: the shutdown looks at the flag before this signal sets it.
        let code = i32::from(fault.code());
        flag::register_conditional_shutdown(signal, code, Arc::clone(&again))
            .and_then(|_| flag::register(signal, Arc::clone(&again)))
            .and_then(|_| flag::register_usize(signal, Arc::clone(&RECEIVED), signal as usize))
            .map_err(cannot)?;
    }
    flag::register(SIGXFSZ, Arc::default()).map_err(cannot)?;
    Ok(())
}

/// To be called in every long loop.
///
/// # Errors
/// After SIGINT or SIGTERM.
pub fn check_interrupt() -> Result<()> {
    match RECEIVED.load(Ordering::Relaxed) as i32 {
        0 => Ok(()),
        SIGTERM => Err(Error::new(Fault::Terminated, "terminated; run again to continue")),
        _ => Err(Error::new(Fault::Interrupted, "interrupted; run again to continue")),
    }
}
