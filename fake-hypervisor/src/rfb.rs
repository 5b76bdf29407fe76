//! The least of a framebuffer server: RFB 3.8, no security, one raw rectangle a request (hypervisor.md §11).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, Result};

use crate::screen::{HEIGHT, Screen, WIDTH};

/// How often a client that waits for a change is looked after.
const REFRESH: Duration = Duration::from_millis(200);

/// Speaks RFB with one client until it goes. A client that knows the picture is sent the next one when it changes.
pub(crate) async fn serve(mut stream: DuplexStream, name: String, screen: impl Fn() -> Screen) -> Result<()> {
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
    let mut sent = None;
    let mut waiting = false;
    loop {
        let message = tokio::select! {
            biased;
            message = stream.read_u8() => message?,
            () = tokio::time::sleep(REFRESH), if waiting => {
                let now = screen();
                if sent.as_ref() != Some(&now) {
                    stream.write_all(&update(&now)).await?;
                    (sent, waiting) = (Some(now), false);
                }
                continue;
            }
        };
        match message {
            // SetPixelFormat, PointerEvent, KeyEvent: nothing to do.
            0 => skip(&mut stream, 19).await?,
            2 => {
                stream.read_u8().await?;
                let encodings = stream.read_u16().await?;
                skip(&mut stream, usize::from(encodings) * 4).await?;
            }
            3 => {
                let incremental = stream.read_u8().await? != 0;
                skip(&mut stream, 8).await?;
                let now = screen();
                waiting = incremental && sent.as_ref() == Some(&now);
                if !waiting {
                    stream.write_all(&update(&now)).await?;
                    sent = Some(now);
                }
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

fn update(screen: &Screen) -> Vec<u8> {
    let pixels = screen.pixels();
    let mut message = Vec::with_capacity(16 + pixels.len() * 4);
    message.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0]);
    message.extend_from_slice(&WIDTH.to_be_bytes());
    message.extend_from_slice(&HEIGHT.to_be_bytes());
    message.extend_from_slice(&0_i32.to_be_bytes());
    for pixel in pixels {
        message.extend_from_slice(&pixel.to_le_bytes());
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
