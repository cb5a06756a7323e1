//! A message to a phone, as `submit_sm` has it (SMPP 3.4, 4.4.1).

use std::time::Duration;

use rusmpp::pdus::SubmitSm;
use rusmpp::tlvs::MessageSubmissionRequestTlvValue;
use rusmpp::types::{EmptyOrFullCOctetString, OctetString};
use rusmpp::values::{
    DataCoding, EsmClass, MoreMessagesToSend, Npi, RegisteredDelivery, ServiceType, Ton,
};

use super::config::{Config, c_string};

/// A short message that carries a datagram, or a part of one.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The number of the phone: at most 20 digits.
    pub destination: &'a str,
    /// The user data with its header, at most 140 octets.
    pub user_data: &'a [u8],
    /// Time for the centre's attempts. `None`: the centre decides.
    pub validity: Option<Duration>,
    /// Another part of the same datagram follows: the centre may keep the channel to the phone.
    pub more: bool,
}

impl Message<'_> {
    pub(super) fn pdu(&self, config: &Config) -> SubmitSm {
        let (source, destination) = (config.source_number, config.destination_number);
        let validity = self.validity.map(validity_period).unwrap_or_default();
        let validity_period: EmptyOrFullCOctetString<17> = match validity.is_empty() {
            true => EmptyOrFullCOctetString::empty(),
            false => validity.parse().unwrap_or_default(),
        };
        let builder = SubmitSm::builder()
            .service_type(ServiceType::new(c_string(&config.service_type)))
            .source_addr_ton(Ton::from(source.ton))
            .source_addr_npi(Npi::from(source.npi))
            .source_addr(c_string(&config.source))
            .dest_addr_ton(Ton::from(destination.ton))
            .dest_addr_npi(Npi::from(destination.npi))
            .destination_addr(c_string(self.destination))
            .esm_class(EsmClass::from(config.esm_class))
            .validity_period(validity_period)
            .registered_delivery(RegisteredDelivery::from(u8::from(config.receipts)))
            .data_coding(DataCoding::from(config.data_coding))
            .short_message(OctetString::from_slice(self.user_data).unwrap_or_default());
        match self.more {
            true => {
                let more = MoreMessagesToSend::MoreMessagesToFollow;
                builder.push_tlv(MessageSubmissionRequestTlvValue::MoreMessagesToSend(more))
            }
            false => builder,
        }
        .build()
    }
}

/// The relative form of a time (SMPP 3.4, 7.1.1.2): `YYMMDDhhmmss000R`, of which months have 30
/// days and years 365.
#[must_use]
pub fn validity_period(time: Duration) -> String {
    // The longest validity period of GSM is 63 weeks (TS 23.040, 9.2.3.12).
    let seconds = time.as_secs().clamp(1, 63 * 7 * DAY);
    let days = seconds / DAY;
    let (years, rest) = (days / 365, days % 365);
    let (months, days) = (rest / 30, rest % 30);
    let (hours, minutes) = (seconds % DAY / 3600, seconds % 3600 / 60);
    let seconds = seconds % 60;
    format!("{years:02}{months:02}{days:02}{hours:02}{minutes:02}{seconds:02}000R")
}

const DAY: u64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validity_period_is_relative() {
        let of = |seconds| validity_period(Duration::from_secs(seconds));
        assert_eq!(of(0), "000000000001000R");
        assert_eq!(of(3 * 3600 + 62), "000000030102000R");
        assert_eq!(of(40 * DAY), "000110000000000R");
        assert_eq!(of(u64::MAX), "010216000000000R");
    }
}
