//! What a guest's screen shows: who it is and what it is doing.

use font8x8::UnicodeFonts as _;

/// The screen's width in pixels.
pub(crate) const WIDTH: u16 = 320;
/// The screen's height in pixels.
pub(crate) const HEIGHT: u16 = 200;
/// The side of a letter, and where the first one stands.
const LETTER: usize = 8;
const MARGIN: usize = 16;
const LINE: usize = 12;
const WHITE: u32 = 0x00ff_ffff;

/// A picture: letters on a coloured ground, `0x00RRGGBB`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Screen {
    pub(crate) ground: u32,
    pub(crate) lines: Vec<String>,
}

impl Screen {
    /// Its pixels, row by row from the top left.
    pub(crate) fn pixels(&self) -> Vec<u32> {
        let width = usize::from(WIDTH);
        let mut pixels = vec![self.ground; width * usize::from(HEIGHT)];
        for (row, line) in self.lines.iter().enumerate() {
            for (column, character) in line.chars().enumerate() {
                let Some(letter) = font8x8::BASIC_FONTS.get(character) else { continue };
                let (left, top) = (MARGIN + column * LETTER, MARGIN + row * LINE);
                if left + LETTER > width {
                    break;
                }
                for (y, bits) in letter.iter().enumerate() {
                    for x in (0..LETTER).filter(|x| bits >> x & 1 == 1) {
                        if let Some(pixel) = pixels.get_mut((top + y) * width + left + x) {
                            *pixel = WHITE;
                        }
                    }
                }
            }
        }
        pixels
    }

    /// The screen as a portable pixmap.
    pub(crate) fn pixmap(&self) -> Vec<u8> {
        let mut image = format!("P6\n{WIDTH} {HEIGHT}\n255\n").into_bytes();
        for pixel in self.pixels() {
            let [_, red, green, blue] = pixel.to_be_bytes();
            image.extend_from_slice(&[red, green, blue]);
        }
        image
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stand_on_the_ground() {
        let blank = Screen { ground: 0x0020_4080, lines: Vec::new() };
        assert!(blank.pixels().iter().all(|pixel| *pixel == 0x0020_4080));
        let named = Screen { lines: vec!["vm".to_owned()], ..blank };
        assert!(named.pixels().iter().filter(|pixel| **pixel == WHITE).count() > 20);
        assert_ne!(named.pixels(), Screen { lines: vec!["VM".to_owned()], ..named.clone() }.pixels());
        assert_eq!(named.pixmap().len(), "P6\n320 200\n255\n".len() + 320 * 200 * 3);
    }
}
