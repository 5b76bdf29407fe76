//! Serial console and screen (hypervisor.md §11).

use lifecycle::ErrorCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::case::{Case, accepted, holds, refused};
use super::{Check, PATIENCE};
use crate::{BoxGuestStream, Domain};

/// Types until the guest sends it back; a guest that still boots does not listen.
async fn echoes(console: &mut BoxGuestStream) -> Check {
    let heard = async {
        let mut buffer = [0_u8; 256];
        loop {
            console.write_all(b"Q").await.map_err(|error| format!("typing: {error}"))?;
            let second = std::time::Duration::from_secs(1);
            match tokio::time::timeout(second, console.read(&mut buffer)).await {
                Ok(Ok(0)) => return Err("the console ended".to_owned()),
                Ok(Ok(count)) if buffer.iter().take(count).any(|byte| *byte == b'Q') => return Ok(()),
                Ok(Ok(_)) | Err(_) => {}
                Ok(Err(error)) => return Err(format!("reading: {error}")),
            }
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.map_err(|_| "nothing came back".to_owned())?
}

async fn ends(console: &mut BoxGuestStream) -> Check {
    let ended = async {
        let mut buffer = [0_u8; 256];
        while !matches!(console.read(&mut buffer).await, Ok(0) | Err(_)) {}
    };
    tokio::time::timeout(PATIENCE, ended).await.map_err(|_| "the console does not end".to_owned())
}

async fn open(domain: &dyn Domain) -> Result<BoxGuestStream, String> {
    accepted("console", domain.console().await)
}

pub(super) async fn carries_the_serial_console(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let mut console = open(&*domain).await?;
    echoes(&mut console).await?;
    accepted("destroy", domain.destroy().await)?;
    ends(&mut console).await
}

pub(super) async fn lets_consoles_come_and_go(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    for _ in 0..3 {
        let mut console = open(&*domain).await?;
        echoes(&mut console).await?;
    }
    accepted("reset", domain.reset().await)?;
    let mut console = open(&*domain).await?;
    echoes(&mut console).await
}

pub(super) async fn refuses_a_console_while_off(mut case: Case<'_>) -> Check {
    let domain = case.define().await?;
    refused("console", domain.console().await.map(drop), ErrorCode::OPERATION_INVALID)?;
    refused("framebuffer", domain.framebuffer().await.map(drop), ErrorCode::OPERATION_INVALID)
}

pub(super) async fn takes_a_screenshot(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let picture = accepted("screenshot", domain.screenshot().await)?;
    let magic: &[u8] = match picture.mime.as_str() {
        "image/png" => b"\x89PNG\r\n\x1a\n",
        "image/x-portable-pixmap" => b"P6",
        other => return Err(format!("type {other}")),
    };
    holds("the picture is of its type", picture.data.starts_with(magic))?;
    accepted("suspend", domain.suspend().await)?;
    accepted("screenshot of the paused", domain.screenshot().await).map(drop)
}

pub(super) async fn serves_the_framebuffer(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let mut screen = accepted("framebuffer", domain.framebuffer().await)?;
    let mut version = [0_u8; 12];
    let greeting = tokio::time::timeout(PATIENCE, screen.read_exact(&mut version)).await;
    greeting.map_err(|_| "no greeting came".to_owned())?.map_err(|error| format!("reading: {error}"))?;
    holds("the server speaks RFB 3.8", &version == b"RFB 003.008\n")?;
    screen.write_all(&version).await.map_err(|error| format!("writing: {error}"))?;
    let mut kinds = [0_u8; 2];
    let security = tokio::time::timeout(PATIENCE, screen.read_exact(&mut kinds)).await;
    security.map_err(|_| "no security types came".to_owned())?.map_err(|error| format!("reading: {error}"))?;
    holds("nobody is asked who he is", kinds == [1, 1])
}
