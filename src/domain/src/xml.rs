//! Rendering and parsing: what the serializer does not do itself.
//!
//! Values come from users, so three things are made sure of: markup is escaped, white space in a value survives a parser
//! (line breaks and tabs become character references), and characters that XML 1.0 cannot carry at all are replaced, as
//! upstream's encoder does. Indentation is added afterwards, over text in which every `<` is known to be markup.

use std::fmt::{self, Write};

use quick_xml::se::{QuoteLevel, Serializer};
use serde::Serialize;

/// What stands for a character that XML 1.0 cannot carry.
const REPLACEMENT: char = '\u{fffd}';

/// XML that could not be read as the element asked for.
#[derive(Clone, Debug, thiserror::Error)]
#[error("unable to parse the domain XML")]
pub struct ParseError(
    #[from]
    /// What the parser said.
    pub quick_xml::DeError,
);

/// The sink below the serializer, which itself writes no white space but the blanks between attributes.
struct Sanitizer<'a>(&'a mut String);

impl Write for Sanitizer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Nearly every chunk is clean, and then it is one copy.
        if text.bytes().all(|b| b >= 0x20 && b != 0xef) {
            self.0.push_str(text);
            return Ok(());
        }
        for c in text.chars() {
            self.write_char(c)?;
        }
        Ok(())
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        match c {
            '\n' => self.0.push_str("&#10;"),
            '\r' => self.0.push_str("&#13;"),
            '\t' => self.0.push_str("&#9;"),
            c if c < ' ' || c == '\u{fffe}' || c == '\u{ffff}' => self.0.push(REPLACEMENT),
            c => self.0.push(c),
        }
        Ok(())
    }
}

/// `value` as the element `tag`, tab-indented.
pub(crate) fn render<T: Serialize>(tag: &str, value: &T) -> String {
    let mut flat = String::with_capacity(8 * 1024);
    let mut sink = Sanitizer(&mut flat);
    let written = Serializer::with_root(&mut sink, Some(tag)).and_then(|mut serializer| {
        serializer.set_quote_level(QuoteLevel::Full);
        value.serialize(serializer)
    });
    // The element types hold nothing but structs, strings, numbers and lists under fixed valid names, and the sink does not fail.
    debug_assert!(written.is_ok(), "{written:?}");
    indent(&flat)
}

/// Puts every element on a line of its own, and keeps text with its element.
fn indent(flat: &str) -> String {
    let mut out = String::with_capacity(flat.len() + flat.len() / 2);
    let mut depth = 0_usize;
    // Whether the element that is open has child elements, so its end goes on a new line.
    let mut had_child = false;
    let mut rest = flat;
    while let Some(start) = rest.find('<') {
        out.push_str(&rest[..start]);
        let Some(length) = rest[start..].find('>') else { break };
        let tag = &rest[start..=start + length];
        rest = &rest[start + length + 1..];
        let closing = tag.starts_with("</");
        if closing {
            depth = depth.saturating_sub(1);
        }
        if !out.is_empty() && (!closing || had_child) {
            out.push('\n');
            out.extend(std::iter::repeat_n('\t', depth));
        }
        out.push_str(tag);
        had_child = closing || tag.ends_with("/>");
        if !had_child {
            depth += 1;
        }
    }
    out.push_str(rest);
    out
}

/// Reads `text` as one element.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, ParseError> {
    Ok(quick_xml::de::from_str(text)?)
}
