//! Capabilities of the peer of one transaction, from its flags and Option TPIs.

use super::config::Config;
use super::tpi::{Parameter, Tpi, Tpis};

/// Capabilities of the peer. Parameters are valid for one transaction (WTP 8.4.4).
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(super) struct Capabilities {
    /// It can re-assemble: it did not set GTR and TTR both (WTP table 12, SIN 002).
    pub(super) sar: bool,
    /// We offered extended SAR in the Invoke; whether it follows is known once it has answered.
    pub(super) offered: bool,
    /// Octets in a packet group it receives.
    pub(super) max_group: Option<u32>,
    /// Packet groups it receives at a time; `Some` means extended SAR.
    pub(super) num_groups: Option<u32>,
    /// Octets of a Result it takes.
    pub(super) max_receive_unit: Option<u32>,
    /// Octets of the message it is sending, as announced.
    pub(super) total_message_size: Option<u32>,
}

impl Capabilities {
    /// Takes in the parameters of a PDU. Returns the pause wanted before the next group, in tenths
    /// of a second.
    pub(super) fn learn(&mut self, tpis: Tpis<'_>) -> Option<u32> {
        let mut delay = None;
        for item in tpis.iter() {
            let Tpi::Parameter(parameter) = item else {
                continue;
            };
            match parameter {
                Parameter::MaximumReceiveUnit(octets) => self.max_receive_unit = Some(octets),
                Parameter::TotalMessageSize(octets) => self.total_message_size = Some(octets),
                Parameter::DelayTransmissionTimer(tenths) => delay = Some(tenths),
                Parameter::MaximumGroup(octets) => self.max_group = Some(octets),
                Parameter::NumGroups(groups) => self.num_groups = Some(groups),
                // Only the initiator needs these. TIDnew is set when verifications repeat, whatever
                // the peer remembers.
                Parameter::CurrentTid(_) | Parameter::NoCachedTid => {}
            }
        }
        delay
    }

    /// Number of groups that may be unacknowledged under extended SAR, or `None` for stop and wait
    /// of plain SAR.
    pub(super) fn window(&self, config: &Config) -> Option<u32> {
        self.num_groups.filter(|_| config.num_groups > 0)
    }

    /// Octets of data in a group we send.
    pub(super) fn group(&self, config: &Config) -> usize {
        let octets = match self.max_group {
            Some(announced) => announced.min(config.send_group),
            None => config.unannounced_group,
        };
        octets.max(1) as usize
    }
}
