//! How far a transfer is, in a line that is written over.

use crate::host::Output;

/// Characters of the bar.
const WIDTH: u64 = 30;

/// A progress bar; it says something whenever another hundredth is done, or another 16 MiB where the whole is not known.
#[derive(Debug)]
pub(crate) struct Progress {
    out: Output,
    title: &'static str,
    total: Option<u64>,
    done: u64,
    shown: Option<u64>,
}

impl Progress {
    pub(crate) fn new(out: Output, title: &'static str, total: Option<u64>) -> Self {
        let mut progress = Self { out, title, total, done: 0, shown: None };
        progress.show();
        progress
    }

    /// So many bytes more.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.done = self.done.saturating_add(bytes as u64);
        self.show();
    }

    /// From the beginning again.
    pub(crate) fn restart(&mut self) {
        self.done = 0;
        self.show();
    }

    /// Ends the line.
    pub(crate) fn finish(self) {
        self.out.line("");
    }

    fn show(&mut self) {
        let step = match self.total {
            Some(total) => self.done.saturating_mul(100).checked_div(total).unwrap_or(100),
            None => self.done >> 24,
        };
        if self.shown == Some(step) {
            return;
        }
        self.shown = Some(step);
        let text = match self.total {
            Some(total) => {
                let filled = step.min(100) * WIDTH / 100;
                let bar: String = (0..WIDTH).map(|at| if at < filled { '=' } else { '_' }).collect();
                format!("\r{}{} / {} [{bar}] {step}%", self.title, size(self.done), size(total))
            }
            None => format!("\r{}{}", self.title, size(self.done)),
        };
        self.out.text(text);
    }
}

/// `1.50 MiB`.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
pub(crate) fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.2} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.2} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_bar_moves_by_hundredths() {
        let kept = Kept::default();
        let mut progress = Progress::new(Output::new(kept.clone()), "", Some(2048));
        progress.add(1);
        progress.add(1023);
        progress.finish();
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.split('\r').collect();
        assert_eq!(lines.len(), 3, "{text:?}");
        assert_eq!(lines[2], "1.00 KiB / 2.00 KiB [===============_______________] 50%\n");
    }

    #[test]
    fn sizes() {
        assert_eq!((size(0), size(1536), size(5 << 40)), ("0 B".to_owned(), "1.50 KiB".to_owned(), "5.00 TiB".to_owned()));
    }
}
