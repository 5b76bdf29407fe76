//! Guests of 512 bytes: a boot sector per behaviour, assembled here, in real mode on the BIOS.
//!
//! Each prints `up` on the first serial port, then wakes 18 times a second by the BIOS's timer, sends back what was typed, and does what
//! makes it different.

/// What a guest does besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Powers off by the power button, lets go of devices.
    Obeys,
    /// Nothing.
    Idles,
    /// Powers off after a second.
    PowersOff,
    /// Resets itself after a second.
    Reboots,
    /// Writes to the debug-exit device after a second, which ends its process.
    Exits,
    /// Tells the panic device after a second.
    Panics,
    /// Writes to the second disk after a second.
    Writes,
}

/// Ticks of the BIOS's timer until a guest acts by itself: about a second.
const SECOND: u8 = 18;

/// The ICH9's power management: event status, event enable, control.
const PM1_STATUS: u16 = 0x600;
const PM1_ENABLE: u16 = 0x602;
const PM1_CONTROL: u16 = 0x604;

/// QEMU's PCI hotplug registers on a q35: devices to go, eject, and the bus that is meant.
const PCI_DOWN: u16 = 0x0cc4;
const PCI_EJECT: u16 = 0x0cc8;
const PCI_SELECT: u16 = 0x0cd0;

struct Code(Vec<u8>);

impl Code {
    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn here(&self) -> usize {
        self.0.len()
    }

    /// `mov dx, port`
    fn port(&mut self, port: u16) -> &mut Self {
        let [low, high] = port.to_le_bytes();
        self.put(&[0xba, low, high])
    }

    /// `mov ax, value; out dx, ax`
    fn out_word(&mut self, port: u16, value: u16) -> &mut Self {
        let [low, high] = value.to_le_bytes();
        self.port(port).put(&[0xb8, low, high, 0xef])
    }

    /// `mov al, value; out dx, al`
    fn out_byte(&mut self, port: u16, value: u8) -> &mut Self {
        self.port(port).put(&[0xb0, value, 0xee])
    }

    /// A short jump of any kind whose end `land` sets.
    fn jump(&mut self, opcode: u8) -> usize {
        self.put(&[opcode, 0]);
        self.here()
    }

    fn land(&mut self, from: usize) -> &mut Self {
        let distance = u8::try_from(self.here() - from).expect("a short jump");
        self.0[from - 1] = distance;
        self
    }

    /// A jump back.
    fn back(&mut self, opcode: u8, to: usize) -> &mut Self {
        let distance = u8::try_from(self.here() + 2 - to).ok().filter(|distance| *distance <= 128).expect("a short jump");
        self.put(&[opcode, distance.wrapping_neg()])
    }
}

/// The sector.
pub fn assemble(behaviour: Behaviour) -> [u8; 512] {
    let mut code = Code(Vec::new());
    // cli; xor ax,ax; mov ds,ax; mov es,ax; mov ss,ax; mov sp,0x7c00; sti; cld; xor bp,bp
    code.put(&[0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0xfb, 0xfc, 0x31, 0xed]);
    for byte in b"up\r\n" {
        code.out_byte(0x3f8, *byte);
    }
    if behaviour == Behaviour::Obeys {
        code.out_word(PM1_ENABLE, 0x0100);
    }
    let tick = code.here();
    // hlt; inc bp
    code.put(&[0xf4, 0x45]);
    // Sends back what was typed: while the line status says so, in al; out.
    let typed = code.here();
    code.port(0x3fd).put(&[0xec, 0xa8, 0x01]);
    let nothing = code.jump(0x74);
    code.port(0x3f8).put(&[0xec, 0xee]);
    code.back(0xeb, typed);
    code.land(nothing);
    match behaviour {
        Behaviour::Idles => {}
        Behaviour::Obeys => {
            // in ax,dx; test ah,1
            code.port(PM1_STATUS).put(&[0xed, 0xf6, 0xc4, 0x01]);
            let untouched = code.jump(0x74);
            power_off(&mut code);
            code.land(untouched);
            // For each of 16 buses: mov ecx,16; select bus ecx-1; what is to go there; eject all of it.
            code.put(&[0x66, 0xb9, 0x10, 0x00, 0x00, 0x00]);
            let bus = code.here();
            // mov eax,ecx; dec eax; out dx,eax
            code.port(PCI_SELECT).put(&[0x66, 0x89, 0xc8, 0x66, 0x48, 0x66, 0xef]);
            // in eax,dx; test eax,eax
            code.port(PCI_DOWN).put(&[0x66, 0xed, 0x66, 0x85, 0xc0]);
            let none = code.jump(0x74);
            code.port(PCI_EJECT).put(&[0x66, 0xef]);
            code.land(none);
            // loop bus
            code.back(0xe2, bus);
        }
        Behaviour::PowersOff | Behaviour::Reboots | Behaviour::Exits | Behaviour::Panics | Behaviour::Writes => {
            // cmp bp,SECOND; jne
            code.put(&[0x83, 0xfd, SECOND]);
            let early = code.jump(0x75);
            match behaviour {
                Behaviour::PowersOff => power_off(&mut code),
                Behaviour::Reboots => _ = code.out_byte(0x0cf9, 0x06),
                Behaviour::Exits => _ = code.out_byte(0x0501, 0x01),
                Behaviour::Panics => _ = code.out_byte(0x0505, 0x01),
                // mov ax,0x0301 (write one sector); mov bx,0x7c00; mov cx,1; mov dx,0x0081 (second disk); int 0x13
                Behaviour::Writes => {
                    _ = code.put(&[0xb8, 0x01, 0x03, 0xbb, 0x00, 0x7c, 0xb9, 0x01, 0x00, 0xba, 0x81, 0x00, 0xcd, 0x13]);
                }
                Behaviour::Obeys | Behaviour::Idles => unreachable!("they do not act by themselves"),
            }
            code.land(early);
        }
    }
    code.back(0xeb, tick);
    let mut sector = [0_u8; 512];
    assert!(code.here() <= 510, "{} bytes do not fit", code.here());
    sector[..code.here()].copy_from_slice(&code.0);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// Sleep type 0 with the bit that enters it: off.
fn power_off(code: &mut Code) {
    code.out_word(PM1_CONTROL, 0x2000);
}
