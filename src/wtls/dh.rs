//! Diffie-Hellman in the two predefined groups (table 9).

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U768};
use zeroize::Zeroizing;

use crate::wtls::rsa::stripped;
use crate::wtls::secret_random::SecretRandom;

type Element = FixedMontyForm<{ U768::LIMBS }>;

struct Definition {
    number: u8,
    bits: usize,
    p: &'static str,
    q: &'static str,
    g: &'static str,
}

const DEFINITIONS: &[Definition] = &[
    Definition {
        number: 1,
        bits: 512,
        p: "FAF30C63D171E54A8131CD331D7C8D6C8AED41B0354E1A29D8DAD03E2E67FF8E\
            00053A07FD28A1EE6AF199FD70330EA8C4C602B86EDFBF47FD1D7BFB6456BD57",
        q: "DD0838E2DFED712C9A9CD91A874143A0C5CBFE41",
        g: "E7734EBBCF50893C760181B2AA2DB0ACF2D5B6E775EE88BAFC7AA5A6BB20A64E\
            B9F54301141F90291B7B37513539450481C9F9CB2BA3E67B4580E2153FD22B80",
    },
    Definition {
        number: 2,
        bits: 768,
        p: "85DB5DB185090AED3BDB3BABFCB46669F9563E681EDB43599241FEF6AA9B5DF9\
            EFE39C0CB7994A04F2BD8F57B5B22AF75E360526216420BCA08FCDF98FF6417D\
            CFDD1C40E4FFB183260E3B28EF0B31A3633788C988B1BC6734A81B31A28CD6FB",
        q: "C5E121744718078DB3291BF8C13E28B3BC3092B3",
        g: "1B15C3C57263B0DD1A9D996768B88370ED458D7B0081A220054EFDD23B9CD829\
            8B719FD3B67CB093817332D033642D21130F83D9CB2CC5ACDD36E6E6DDB2410A\
            B30311CDBEE9222CCFE644443B0C7204F2D12F7A3719C8866A20A0E778EBBA",
    },
];

/// One of the groups.
#[derive(Clone)]
pub(super) struct Group {
    pub(super) number: u8,
    field: FixedMontyParams<{ U768::LIMBS }>,
    generator: Element,
    /// The order of the generator.
    q: U768,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Group {}", self.number)
    }
}

/// A key pair.
#[cfg_attr(test, derive(Clone))]
pub(super) struct KeyPair {
    secret: Zeroizing<[u8; EXPONENT]>,
    pub(super) public: Vec<u8>,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyPair")
    }
}

/// The numbers of the groups there are, and the bits of their primes, the larger one first.
pub(super) fn sizes() -> impl Iterator<Item = (u8, usize)> {
    DEFINITIONS
        .iter()
        .rev()
        .map(|definition| (definition.number, definition.bits))
}

impl Group {
    /// The group of an assigned number.
    pub(super) fn of(number: u8) -> Option<Self> {
        let definition = DEFINITIONS.iter().find(|group| group.number == number)?;
        let field = FixedMontyParams::new_vartime(Odd::new(hex(definition.p)).into_option()?);
        Some(Self {
            number,
            generator: Element::new(&hex(definition.g), &field),
            q: hex(definition.q),
            field,
        })
    }

    /// A new key pair.
    pub(super) fn generate(&self, random: &mut SecretRandom) -> KeyPair {
        let mut secret = Zeroizing::new([0; EXPONENT]);
        random.fill(&mut *secret);
        let public = self.power(self.generator, &secret);
        KeyPair { secret, public }
    }

    /// The secret that both sides share, with no octets of zero in front. Nothing if the other's public key is not
    /// in the generator's group: it could be in a small one.
    pub(super) fn agree(&self, pair: &KeyPair, theirs: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let theirs = stripped(theirs);
        let mut whole = [0; 96];
        let at = whole.len().checked_sub(theirs.len())?;
        whole.get_mut(at..)?.copy_from_slice(theirs);
        let number = U768::from_be_slice(&whole);
        if number <= U768::ONE || number >= *self.field.modulus().as_ref() {
            return None;
        }
        let element = Element::new(&number, &self.field);
        if element.pow_vartime(&self.q) != Element::one(&self.field) {
            return None;
        }
        Some(Zeroizing::new(self.power(element, &pair.secret)))
    }

    fn power(&self, base: Element, exponent: &[u8; EXPONENT]) -> Vec<u8> {
        let mut whole = Zeroizing::new([0; 96]);
        for (place, octet) in whole.iter_mut().rev().zip(exponent.iter().rev()) {
            *place = *octet;
        }
        let exponent = Zeroizing::new(U768::from_be_slice(&*whole));
        let bits = u32::try_from(EXPONENT * 8).unwrap_or(u32::MAX);
        let power = base.pow_bounded_exp(&exponent, bits).retrieve();
        stripped(power.to_be_bytes().as_ref()).to_vec()
    }
}

/// Octets of an exponent (160 bits).
const EXPONENT: usize = 20;

fn hex(text: &str) -> U768 {
    U768::from_be_hex(&format!("{text:0>192}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_has_the_order_that_is_said() {
        for number in [1, 2] {
            let group = Group::of(number).unwrap();
            let one = Element::one(&group.field);
            assert_eq!(group.generator.pow_vartime(&group.q), one);
            assert_ne!(group.generator, one);
        }
    }

    #[test]
    fn both_sides_agree_and_small_groups_are_refused() {
        let mut random = SecretRandom::new([1; 32]);
        for number in [1, 2] {
            let group = Group::of(number).unwrap();
            let (one, other) = (group.generate(&mut random), group.generate(&mut random));
            let secret = group.agree(&one, &other.public).unwrap();
            assert_eq!(group.agree(&other, &one.public).unwrap(), secret);
            let minus_one = group.field.modulus().as_ref().wrapping_sub(&U768::ONE);
            let minus_one = minus_one.to_be_bytes();
            for bad in [&[][..], &[1], &[0xFF; 97], minus_one.as_ref()] {
                assert!(group.agree(&one, bad).is_none());
            }
        }
    }
}
