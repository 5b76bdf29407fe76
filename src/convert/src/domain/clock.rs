//! The guest's clock and timers. Source: spec/domain-xml.md §6.7.

use api::v1::{self, VirtualMachineInstance};
use domain::{Clock, Timer};

use crate::vmi;

pub(super) fn render(vmi: &VirtualMachineInstance) -> Option<Clock> {
    let mut clock = vmi.spec.domain.clock.as_ref().map(convert);
    if let Some(frequency) = vmi::tsc_frequency(vmi).filter(|_| vmi::requires_tsc(vmi)) {
        let timer = Timer { name: "tsc".to_owned(), frequency: u64::try_from(frequency).ok(), ..Timer::default() };
        clock.get_or_insert_default().timers.push(timer);
    }
    clock
}

fn convert(spec: &v1::Clock) -> Clock {
    let mut clock = Clock::default();
    if let Some(utc) = &spec.utc {
        clock.offset = Some("utc".to_owned());
        clock.adjustment = Some(utc.offset_seconds.map_or_else(|| "reset".to_owned(), |s| s.to_string()));
    } else if let Some(zone) = spec.timezone.as_ref().filter(|z| !z.is_empty()) {
        clock.offset = Some("timezone".to_owned());
        clock.timezone = Some(zone.clone());
    }
    let Some(timers) = &spec.timer else { return clock };
    let present = |enabled: Option<bool>| Some(vmi::unless_off(enabled).into());
    let text = |policy: &Option<String>| policy.clone().filter(|p| !p.is_empty());
    if let Some(rtc) = &timers.rtc {
        clock.timers.push(Timer {
            name: "rtc".to_owned(),
            track: text(&rtc.track),
            tick_policy: text(&rtc.tick_policy),
            present: present(rtc.present),
            frequency: None,
        });
    }
    let mut timer = |name: &str, enabled: Option<bool>, tick_policy: Option<String>| {
        clock.timers.push(Timer { name: name.to_owned(), present: present(enabled), tick_policy, ..Timer::default() });
    };
    if let Some(pit) = &timers.pit {
        timer("pit", pit.present, text(&pit.tick_policy));
    }
    if let Some(kvm) = &timers.kvm {
        timer("kvmclock", kvm.present, None);
    }
    if let Some(hpet) = &timers.hpet {
        timer("hpet", hpet.present, text(&hpet.tick_policy));
    }
    if let Some(hyperv) = &timers.hyperv {
        timer("hypervclock", hyperv.present, None);
    }
    clock
}
