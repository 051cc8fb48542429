//! The terminal: entered and left in good order, whatever happens in between.
//!
//! Everything that is switched on is switched off again on quitting, suspending, panicking and on
//! signals. Only this module and its callers in `runtime` write to the terminal.

use std::io::{self, BufWriter, Stdout, Write, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange,
    KeyboardEnhancementFlags, PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
};
use crossterm::style::Print;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, SetTitle, disable_raw_mode, enable_raw_mode,
    supports_keyboard_enhancement,
};
use crossterm::{cursor, execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use tokio::task::JoinHandle;

use super::background;
use super::model::Model;
use super::view;
use crate::safe_text::SafeText;

/// Bytes gathered before they are written: a whole frame in one piece.
const FRAME_LEN: usize = 64 * 1024;

const PUSH_TITLE: &str = "\u{1b}[22;0t";
const POP_TITLE: &str = "\u{1b}[23;0t";
/// Turning the wheel must not look like pressing Up and Down: saved, switched off, restored.
const WHEEL_OFF: &str = "\u{1b}[?1007s\u{1b}[?1007l";
const WHEEL_BACK: &str = "\u{1b}[?1007r";

/// Whether the terminal is ours now, for the panic hook, which has no access to the screen.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);
/// Whether the terminal was asked to report keys unambiguously.
static HAS_KEY_FLAGS: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    is_in_tmux: bool,
    has_key_flags: bool,
}

impl Screen {
    /// Takes the terminal: raw, on its other page, with pastes and focus reported apart from keys.
    ///
    /// # Errors
    ///
    /// When there is no terminal or it cannot be switched; it is left as it was.
    pub(crate) fn enter() -> io::Result<Self> {
        restore_on_panic();
        switch_on().inspect_err(|_| leave())?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(FRAME_LEN, stdout()));
        let terminal = Terminal::new(backend).inspect_err(|_| leave())?;
        let is_in_tmux = std::env::var_os("TMUX").is_some();
        Ok(Self { terminal, is_in_tmux, has_key_flags: false })
    }

    /// Has the terminal report keys unambiguously that are the same bytes otherwise, if it can.
    pub(crate) fn set_keys_apart(&mut self, has_key_flags: bool) -> io::Result<()> {
        self.has_key_flags = has_key_flags;
        if has_key_flags && IS_ENTERED.load(Ordering::SeqCst) {
            HAS_KEY_FLAGS.store(true, Ordering::SeqCst);
            let flags = KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES;
            execute!(stdout(), PushKeyboardEnhancementFlags(flags))?;
        }
        Ok(())
    }

    /// Asks for the color of the background; the answer comes in among the keys.
    pub(crate) fn ask_about_background(&mut self) -> io::Result<()> {
        execute!(self.terminal.backend_mut(), Print(background::QUESTION))
    }

    /// The size in columns and rows.
    pub(crate) fn size(&self) -> io::Result<(u16, u16)> {
        self.terminal.size().map(|size| (size.width, size.height))
    }

    /// Draws a frame: only what changed, at once, without a half-drawn moment in between.
    pub(crate) fn draw(&mut self, model: &Model) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| view::draw(model, frame))?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Forgets what is on the screen, so that the next frame draws every cell.
    pub(crate) fn forget(&mut self) -> io::Result<()> {
        // Not `clear`, which first asks the terminal where its cursor is: the answer would have to
        // come in among the keys, and it fails if it does not come.
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Rings the bell.
    pub(crate) fn bell(&mut self) -> io::Result<()> {
        execute!(self.terminal.backend_mut(), Print('\u{7}'))
    }

    /// Shows a title.
    pub(crate) fn title(&mut self, title: &str) -> io::Result<()> {
        let title = SafeText::line(title);
        execute!(self.terminal.backend_mut(), SetTitle(title))
    }

    /// Hands a text to the terminal's clipboard, through a multiplexer too.
    pub(crate) fn copy(&mut self, text: &str) -> io::Result<()> {
        let sequence = clipboard_sequence(text, self.is_in_tmux);
        execute!(self.terminal.backend_mut(), Print(sequence))
    }

    /// Gives the terminal back until the program is continued, then takes it again.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        leave();
        stop_here()?;
        switch_on()?;
        self.set_keys_apart(self.has_key_flags)?;
        self.forget()
    }
}

/// Asks whether the terminal can report keys unambiguously; the answer is for [`Screen::set_keys_apart`].
///
/// Nobody else may read from the terminal until it is there: a terminal that answers nothing
/// takes two seconds. What is typed meanwhile waits, and is read afterwards.
pub(crate) fn ask_about_keys() -> JoinHandle<bool> {
    tokio::task::spawn_blocking(|| supports_keyboard_enhancement().unwrap_or(false))
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

#[cfg(unix)]
fn stop_here() -> io::Result<()> {
    // The whole job, as the terminal itself does it on Ctrl-Z.
    rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
    Ok(())
}

#[cfg(not(unix))]
fn stop_here() -> io::Result<()> {
    Ok(())
}

fn switch_on() -> io::Result<()> {
    enable_raw_mode()?;
    IS_ENTERED.store(true, Ordering::SeqCst);
    execute!(
        stdout(),
        Print(PUSH_TITLE),
        EnterAlternateScreen,
        // The other page may hold what a killed program left there.
        Clear(ClearType::All),
        EnableBracketedPaste,
        EnableFocusChange,
        Print(WHEEL_OFF),
        cursor::Hide
    )
}

/// Leaves the terminal as it was found. Does nothing if it is not ours; never fails loudly, since
/// it is the last thing done.
pub(crate) fn leave() {
    if !IS_ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = stdout();
    let result = switch_off(&mut out).and_then(|()| disable_raw_mode());
    if let Err(error) = result {
        tracing::warn!(%error, "the terminal could not be restored");
    }
}

fn switch_off(out: &mut impl Write) -> io::Result<()> {
    if HAS_KEY_FLAGS.swap(false, Ordering::SeqCst) {
        queue!(out, PopKeyboardEnhancementFlags)?;
    }
    execute!(
        out,
        EndSynchronizedUpdate,
        Print(WHEEL_BACK),
        DisableFocusChange,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show,
        Print(POP_TITLE)
    )
}

/// Restores the terminal before a panic is reported, so that it can be read.
fn restore_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            report(panic);
        }));
    });
}

/// The bytes that ask a terminal to take a text into its clipboard (OSC 52). In tmux they are also
/// passed through, wrapped as it wants them, for settings that keep the plain ones.
fn clipboard_sequence(text: &str, is_in_tmux: bool) -> String {
    let plain = format!("\u{1b}]52;c;{}\u{7}", base64(text.as_bytes()));
    if is_in_tmux {
        let escaped = plain.replace('\u{1b}', "\u{1b}\u{1b}");
        format!("{plain}\u{1b}Ptmux;{escaped}\u{1b}\\")
    } else {
        plain
    }
}

/// RFC 4648, section 4, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = group >> (18 - 6 * i) & 63;
            let is_padding = i > chunk.len();
            text.push(if is_padding { '=' } else { char::from(DIGITS[digit as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_rfc() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn tmux_gets_the_clipboard_both_ways() {
        let sequence = clipboard_sequence("f", true);
        assert_eq!(
            sequence,
            "\u{1b}]52;c;Zg==\u{7}\u{1b}Ptmux;\u{1b}\u{1b}]52;c;Zg==\u{7}\u{1b}\\"
        );
    }

    #[test]
    fn leaving_switches_everything_off() {
        let mut out = Vec::new();
        switch_off(&mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        for off in ["\u{1b}[?2004l", "\u{1b}[?1004l", "\u{1b}[?1049l", "\u{1b}[?25h", POP_TITLE] {
            assert!(out.contains(off), "{off:?}");
        }
    }
}
