//! The attributes of 3GPP, by which mobile networks identify subscribers (TS 29.061, 16.4.7).

use super::{Kind, Packet};

/// The type of a 3GPP attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sub(pub u8);

impl Sub {
    /// The number of the SIM, in digits.
    pub const IMSI: Self = Self(1);
    /// Identifies charging records, four octets.
    pub const CHARGING_ID: Self = Self(2);
    /// The address of the SGSN, four octets.
    pub const SGSN_ADDRESS: Self = Self(6);
    /// The address of the GGSN, four octets.
    pub const GGSN_ADDRESS: Self = Self(7);
    /// The address of the SGSN, sixteen octets.
    pub const SGSN_IPV6_ADDRESS: Self = Self(15);
    /// The address of the GGSN, sixteen octets.
    pub const GGSN_IPV6_ADDRESS: Self = Self(16);
    /// The visited network, five or six digits.
    pub const SGSN_MCC_MNC: Self = Self(18);
    /// The number of the device, in digits.
    pub const IMEISV: Self = Self(20);
    /// Radio access technology, one octet.
    pub const RAT_TYPE: Self = Self(21);
    /// The location of the handset.
    pub const USER_LOCATION: Self = Self(22);
}

/// The attributes of 3GPP in a packet, in their order.
pub fn attributes<'a>(packet: &Packet<'a>) -> impl Iterator<Item = (Sub, &'a [u8])> + use<'a> {
    let found: Vec<_> = packet
        .attributes()
        .filter(|attribute| attribute.kind == Kind::VENDOR_SPECIFIC)
        .filter_map(|attribute| {
            let (vendor, inner) = attribute.value.split_first_chunk::<4>()?;
            (u32::from_be_bytes(*vendor) == VENDOR).then_some(inner)
        })
        .collect();
    found
        .into_iter()
        .flat_map(super::attributes)
        .map(|inner| (Sub(inner.kind.0), inner.value))
}

/// 3GPP among the vendors.
pub const VENDOR: u32 = 10_415;
