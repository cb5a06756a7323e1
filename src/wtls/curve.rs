//! Elliptic curve Diffie-Hellman on the prime curves of table 8.
//!
//! The numbers are of the crate `crypto-bigint`, in Montgomery form and constant time. No crate has curves 6 to 9; the
//! complete addition formulas of Renes, Costello and Batina (2015, algorithm 1) serve every prime-order curve, have no
//! special cases to leak, and double too.

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Choice, CtSelect, Odd, U256};
use zeroize::Zeroizing;

use crate::wtls::secret_random::SecretRandom;

type Field = FixedMontyForm<4>;

/// A curve y² = x³ + ax + b of prime order over a prime field.
struct Definition {
    number: u8,
    /// Bits of the field.
    bits: usize,
    p: &'static str,
    a: &'static str,
    b: &'static str,
    x: &'static str,
    y: &'static str,
    order: &'static str,
}

/// Table 8, the curves over prime fields.
const DEFINITIONS: &[Definition] = &[
    Definition {
        number: 6,
        bits: 112,
        p: "DB7C2ABF62E35E668076BEAD208B",
        a: "DB7C2ABF62E35E668076BEAD2088",
        b: "659EF8BA043916EEDE8911702B22",
        x: "09487239995A5EE76B55F9C2F098",
        y: "A89CE5AF8724C0A23E0E0FF77500",
        order: "DB7C2ABF62E35E7628DFAC6561C5",
    },
    Definition {
        number: 7,
        bits: 160,
        p: "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF7FFFFFFF",
        a: "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF7FFFFFFC",
        b: "1C97BEFC54BD7A8B65ACF89F81D4D4ADC565FA45",
        x: "4A96B5688EF573284664698968C38BB913CBFC82",
        y: "23A628553168947D59DCC912042351377AC5FB32",
        order: "0100000000000000000001F4C8F927AED3CA752257",
    },
    Definition {
        number: 8,
        bits: 112,
        p: "FFFFFFFFFFFFFFFFFFFFFFFFFDE7",
        a: "00",
        b: "03",
        x: "01",
        y: "02",
        order: "0100000000000001ECEA551AD837E9",
    },
    Definition {
        number: 9,
        bits: 160,
        p: "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC808F",
        a: "00",
        b: "03",
        x: "01",
        y: "02",
        order: "0100000000000000000001CDC98AE0E2DE574ABF33",
    },
    Definition {
        number: 12,
        bits: 224,
        p: "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF000000000000000000000001",
        a: "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFE",
        b: "B4050A850C04B3ABF54132565044B0B7D7BFD8BA270B39432355FFB4",
        x: "B70E0CBD6BB4BF7F321390B94A03C1D356C21122343280D6115C1D21",
        y: "BD376388B5F723FB4C22DFE6CD4375A05A07476444D5819985007E34",
        order: "FFFFFFFFFFFFFFFFFFFFFFFFFFFF16A2E0B8F03E13DD29455C5C2A3D",
    },
];

/// A curve to compute on.
#[derive(Clone)]
pub(super) struct Curve {
    pub(super) number: u8,
    pub(super) bits: usize,
    field: FixedMontyParams<4>,
    a: Field,
    b: Field,
    b3: Field,
    base: Point,
    order: U256,
}

impl std::fmt::Debug for Curve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Curve {}", self.number)
    }
}

/// A point in projective coordinates.
#[derive(Clone, Copy)]
struct Point {
    x: Field,
    y: Field,
    z: Field,
}

/// The assigned number of the curve taken when the client leaves the choice to us: 160 bits, the basic prime curve.
pub(super) const PREFERRED: u8 = 7;

/// The numbers of the curves there are, and the bits of their fields.
pub(super) fn sizes() -> impl Iterator<Item = (u8, usize)> {
    DEFINITIONS
        .iter()
        .map(|definition| (definition.number, definition.bits))
}

/// A key pair.
#[cfg_attr(test, derive(Clone))]
pub(super) struct KeyPair {
    secret: Zeroizing<[u8; 32]>,
    point: Point,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyPair")
    }
}

impl Curve {
    /// The curve of an assigned number.
    pub(super) fn of(number: u8) -> Option<Self> {
        let definition = DEFINITIONS.iter().find(|curve| curve.number == number)?;
        let field = FixedMontyParams::new_vartime(Odd::new(hex(definition.p)).into_option()?);
        let element = |text| Field::new(&hex(text), &field);
        let b = element(definition.b);
        Some(Self {
            number,
            bits: definition.bits,
            a: element(definition.a),
            b3: b + b + b,
            b,
            base: Point {
                x: element(definition.x),
                y: element(definition.y),
                z: Field::one(&field),
            },
            order: hex(definition.order),
            field,
        })
    }

    /// A new key pair.
    pub(super) fn generate(&self, random: &mut SecretRandom) -> KeyPair {
        // More than 64 bits longer than the order, so that the rest is evenly spread.
        let mut octets = Zeroizing::new([0; 32]);
        loop {
            random.fill(&mut *octets);
            let bits = self.order.bit_width_vartime();
            for (at, octet) in octets.iter_mut().enumerate() {
                let above = u32::try_from((31 - at) * 8).unwrap_or(0);
                let kept = bits.saturating_sub(above).min(8);
                *octet &= 0xFF_u8.checked_shr(8 - kept).unwrap_or(0);
            }
            let secret = Zeroizing::new(U256::from_be_slice(&*octets));
            if *secret < self.order && *secret > U256::ZERO {
                break;
            }
        }
        let point = self.multiply(&octets, self.base);
        KeyPair {
            secret: octets,
            point,
        }
    }

    /// The public key of a pair, as a point (X9.62, 4.3.6).
    pub(super) fn public(&self, pair: &KeyPair, compressed: bool) -> Vec<u8> {
        let Some((x, y)) = self.affine(&pair.point) else {
            return Vec::new();
        };
        let odd = y.last().is_some_and(|octet| octet & 1 == 1);
        match compressed {
            true => [&[2 | u8::from(odd)][..], &x].concat(),
            false => [&[4][..], &x, &y].concat(),
        }
    }

    /// The secret that both sides share: the x-coordinate as a field element. Nothing if the other's public key is
    /// none. The order is prime and the cofactor is 1: a point on the curve is in no small subgroup.
    pub(super) fn agree(&self, pair: &KeyPair, theirs: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let point = self.point(theirs)?;
        let shared = self.multiply(&pair.secret, point);
        self.affine(&shared).map(|(x, _)| Zeroizing::new(x))
    }

    /// Octets of a field element.
    const fn size(&self) -> usize {
        self.bits.div_ceil(8)
    }

    /// Reads a point and sees that it is on the curve.
    fn point(&self, octets: &[u8]) -> Option<Point> {
        let (form, rest) = octets.split_first()?;
        let (x, y) = rest.split_at_checked(self.size())?;
        let x = self.element(x)?;
        let square = x.square() * x + self.a * x + self.b;
        let y = match form {
            2 | 3 if y.is_empty() => {
                let root = self.square_root(square)?;
                let is_odd = bool::from(root.retrieve().is_odd());
                match is_odd == (*form == 3) {
                    true => root,
                    false => -root,
                }
            }
            // Hybrid forms say the parity once more.
            4 | 6 | 7 if y.len() == self.size() => self.element(y)?,
            _ => return None,
        };
        let point = Point {
            x,
            y,
            z: Field::one(&self.field),
        };
        (y.square() == square).then_some(point)
    }

    fn element(&self, octets: &[u8]) -> Option<Field> {
        let mut whole = [0; 32];
        let (_, place) = whole.split_at_mut_checked(32 - octets.len().min(32))?;
        place.copy_from_slice(octets);
        let number = U256::from_be_slice(&whole);
        (number < *self.field.modulus().as_ref()).then(|| Field::new(&number, &self.field))
    }

    /// The coordinates of a point, or nothing for the point at infinity.
    fn affine(&self, point: &Point) -> Option<(Vec<u8>, Vec<u8>)> {
        let inverse = point.z.invert().into_option()?;
        let octets = |element: Field| {
            let whole = element.retrieve().to_be_bytes();
            let whole: &[u8] = whole.as_ref();
            whole.get(32 - self.size()..).unwrap_or_default().to_vec()
        };
        Some((octets(point.x * inverse), octets(point.y * inverse)))
    }

    /// A multiple of a point. Every bit costs the same.
    fn multiply(&self, scalar: &[u8; 32], point: Point) -> Point {
        let mut sum = Point {
            x: Field::zero(&self.field),
            y: Field::one(&self.field),
            z: Field::zero(&self.field),
        };
        for octet in scalar {
            for bit in (0..8).rev() {
                sum = self.add(&sum, &sum);
                let more = self.add(&sum, &point);
                let choice = Choice::from_u8_lsb(octet >> bit & 1);
                sum = Point {
                    x: sum.x.ct_select(&more.x, choice),
                    y: sum.y.ct_select(&more.y, choice),
                    z: sum.z.ct_select(&more.z, choice),
                };
            }
        }
        sum
    }

    /// The sum of two points, which may be the same.
    fn add(&self, one: &Point, other: &Point) -> Point {
        let t0 = one.x * other.x;
        let t1 = one.y * other.y;
        let t2 = one.z * other.z;
        let t3 = (one.x + one.y) * (other.x + other.y) - (t0 + t1);
        let t4 = (one.x + one.z) * (other.x + other.z) - (t0 + t2);
        let t5 = (one.y + one.z) * (other.y + other.z) - (t1 + t2);
        let z = self.b3 * t2 + self.a * t4;
        let x = t1 - z;
        let z = t1 + z;
        let y = x * z;
        let a_t2 = self.a * t2;
        let t1 = t0 + t0 + t0 + a_t2;
        let t4 = self.b3 * t4 + self.a * (t0 - a_t2);
        Point {
            x: t3 * x - t5 * t4,
            y: y + t1 * t4,
            z: t5 * z + t3 * t1,
        }
    }

    /// A square root of a public number (Tonelli and Shanks), or nothing.
    fn square_root(&self, square: Field) -> Option<Field> {
        let one = Field::one(&self.field);
        let even = self.field.modulus().as_ref().wrapping_sub(&U256::ONE);
        let twos = even.trailing_zeros_vartime();
        let odd = even.shr_vartime(twos);
        let half = even.shr_vartime(1);
        // Half of all numbers are no squares: one of the first is none.
        let non_square = (2..100)
            .map(|number: u8| Field::new(&U256::from_u8(number), &self.field))
            .find(|number| number.pow_vartime(&half) == -one)?;
        let mut order = twos;
        let mut generator = non_square.pow_vartime(&odd);
        let mut root = square.pow_vartime(&odd.wrapping_add(&U256::ONE).shr_vartime(1));
        let mut rest = square.pow_vartime(&odd);
        while rest != one {
            let mut least = 0;
            let mut power = rest;
            while power != one {
                power = power.square();
                least += 1;
                if least >= order {
                    return None;
                }
            }
            let step = generator.square_repeat_vartime(order - least - 1);
            order = least;
            generator = step.square();
            root *= step;
            rest *= generator;
        }
        Some(root)
    }
}

fn hex(text: &str) -> U256 {
    U256::from_be_hex(&format!("{text:0>64}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_point_is_on_each_curve_and_has_its_order() {
        for (number, _) in sizes() {
            let curve = Curve::of(number).unwrap();
            let Point { x, y, .. } = curve.base;
            assert_eq!(
                y.square(),
                x.square() * x + curve.a * x + curve.b,
                "{number}"
            );
            let order = curve.order.to_be_bytes();
            let order: [u8; 32] = order.as_ref().try_into().unwrap();
            assert!(
                curve.affine(&curve.multiply(&order, curve.base)).is_none(),
                "{number}"
            );
        }
    }

    #[test]
    fn both_sides_agree_in_every_form_of_points() {
        let mut random = SecretRandom::new([1; 32]);
        for (number, _) in sizes() {
            let curve = Curve::of(number).unwrap();
            let (one, other) = (curve.generate(&mut random), curve.generate(&mut random));
            let expected = curve.agree(&one, &curve.public(&other, false)).unwrap();
            assert_eq!(expected.len(), curve.size());
            for compressed in [false, true] {
                let theirs = curve.public(&one, compressed);
                assert_eq!(curve.agree(&other, &theirs).unwrap(), expected, "{number}");
            }
        }
    }

    #[test]
    fn points_that_are_not_on_the_curve_are_refused() {
        let mut random = SecretRandom::new([2; 32]);
        let curve = Curve::of(7).unwrap();
        let pair = curve.generate(&mut random);
        let mut point = curve.public(&pair, false);
        assert!(curve.agree(&pair, &point).is_some());
        *point.last_mut().unwrap() ^= 1;
        assert!(curve.agree(&pair, &point).is_none());
        for bad in [&[][..], &[0], &[4; 20], &[2; 30], &[0xFF; 21]] {
            assert!(curve.agree(&pair, bad).is_none());
        }
    }
}
