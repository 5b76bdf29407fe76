//! The least of a framebuffer server: RFB 3.8, no security, one raw rectangle a request (hypervisor.md §11).

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, Result};

/// The screen's width in pixels.
pub(crate) const WIDTH: u16 = 64;
/// The screen's height in pixels.
pub(crate) const HEIGHT: u16 = 48;

/// Speaks RFB with one client until it goes; `screen` gives the colour of the whole screen, `0x00RRGGBB`.
pub(crate) async fn serve(mut stream: DuplexStream, name: String, screen: impl Fn() -> u32) -> Result<()> {
    stream.write_all(b"RFB 003.008\n").await?;
    let mut version = [0_u8; 12];
    stream.read_exact(&mut version).await?;
    // One security type: 1, none.
    stream.write_all(&[1, 1]).await?;
    stream.read_u8().await?;
    stream.write_u32(0).await?;
    stream.read_u8().await?;
    let mut init = Vec::with_capacity(24 + name.len());
    init.extend_from_slice(&WIDTH.to_be_bytes());
    init.extend_from_slice(&HEIGHT.to_be_bytes());
    // 32 bits a pixel, 24 deep, little endian, true colour; maxima and shifts of red, green, blue; padding.
    init.extend_from_slice(&[32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]);
    init.extend_from_slice(&u32::try_from(name.len()).unwrap_or_default().to_be_bytes());
    init.extend_from_slice(name.as_bytes());
    stream.write_all(&init).await?;
    loop {
        match stream.read_u8().await? {
            // SetPixelFormat, PointerEvent, KeyEvent: nothing to do.
            0 => skip(&mut stream, 19).await?,
            2 => {
                stream.read_u8().await?;
                let encodings = stream.read_u16().await?;
                skip(&mut stream, usize::from(encodings) * 4).await?;
            }
            3 => {
                skip(&mut stream, 9).await?;
                stream.write_all(&update(screen())).await?;
            }
            4 => skip(&mut stream, 7).await?,
            5 => skip(&mut stream, 5).await?,
            6 => {
                skip(&mut stream, 3).await?;
                let length = stream.read_u32().await?;
                skip(&mut stream, length as usize).await?;
            }
            // A message this server does not know: its length is unknown too, so the conversation ends.
            _ => return Ok(()),
        }
    }
}

fn update(colour: u32) -> Vec<u8> {
    let pixels = usize::from(WIDTH) * usize::from(HEIGHT);
    let mut message = Vec::with_capacity(16 + pixels * 4);
    message.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0]);
    message.extend_from_slice(&WIDTH.to_be_bytes());
    message.extend_from_slice(&HEIGHT.to_be_bytes());
    message.extend_from_slice(&0_i32.to_be_bytes());
    for _ in 0..pixels {
        message.extend_from_slice(&colour.to_le_bytes());
    }
    message
}

async fn skip(stream: &mut DuplexStream, mut count: usize) -> Result<()> {
    let mut buffer = [0_u8; 256];
    while count > 0 {
        let part = count.min(buffer.len());
        let Some(target) = buffer.get_mut(..part) else { return Ok(()) };
        stream.read_exact(target).await?;
        count -= part;
    }
    Ok(())
}

/// The screen as a portable pixmap.
pub(crate) fn pixmap(colour: u32) -> Vec<u8> {
    let mut image = format!("P6\n{WIDTH} {HEIGHT}\n255\n").into_bytes();
    let [_, red, green, blue] = colour.to_be_bytes();
    for _ in 0..usize::from(WIDTH) * usize::from(HEIGHT) {
        image.extend_from_slice(&[red, green, blue]);
    }
    image
}
