//! Block ciphers in CBC mode. Every record is a chain of its own (9.2.3.3).

use cipher::consts::{U12, U16};
use cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit};
use des::{Des, TdesEde3};
use idea::Idea;
use rc5::RC5;

use crate::wtls::suite::Bulk;

/// Octets of a block; every cipher of WTLS has the same.
pub(super) const BLOCK: usize = 8;

/// A cipher with its key. The crates wipe keys when they are dropped.
#[cfg_attr(test, derive(Clone))]
pub(super) enum BlockCipher {
    /// Nothing is encrypted.
    Null,
    Rc5Short(Box<RC5<u32, U12, U16>>),
    Rc5(Box<RC5<u32, U16, U16>>),
    Des(Box<Des>),
    TripleDes(Box<TdesEde3>),
    Idea(Box<Idea>),
}

impl BlockCipher {
    /// The cipher of a key of the length that table 5 gives.
    pub(super) fn new(bulk: &Bulk, key: &[u8]) -> Self {
        match bulk.number {
            1 | 2 | 10 => Self::Rc5Short(keyed(key)),
            3 => Self::Rc5(keyed(key)),
            4 | 5 => Self::Des(keyed(key)),
            6 => Self::TripleDes(keyed(key)),
            7 | 8 | 9 | 11 => Self::Idea(keyed(key)),
            _ => Self::Null,
        }
    }

    /// Encrypts whole blocks in place.
    pub(super) fn encrypt(&self, iv: [u8; BLOCK], octets: &mut [u8]) {
        match self {
            Self::Null => {}
            Self::Rc5Short(cipher) => encrypt(&**cipher, iv, octets),
            Self::Rc5(cipher) => encrypt(&**cipher, iv, octets),
            Self::Des(cipher) => encrypt(&**cipher, iv, octets),
            Self::TripleDes(cipher) => encrypt(&**cipher, iv, octets),
            Self::Idea(cipher) => encrypt(&**cipher, iv, octets),
        }
    }

    /// Decrypts whole blocks in place.
    pub(super) fn decrypt(&self, iv: [u8; BLOCK], octets: &mut [u8]) {
        match self {
            Self::Null => {}
            Self::Rc5Short(cipher) => decrypt(&**cipher, iv, octets),
            Self::Rc5(cipher) => decrypt(&**cipher, iv, octets),
            Self::Des(cipher) => decrypt(&**cipher, iv, octets),
            Self::TripleDes(cipher) => decrypt(&**cipher, iv, octets),
            Self::Idea(cipher) => decrypt(&**cipher, iv, octets),
        }
    }
}

fn keyed<C: KeyInit>(key: &[u8]) -> Box<C> {
    Box::new(C::new_from_slice(key).expect("keys have the length of table 5"))
}

fn encrypt<C>(cipher: &C, iv: [u8; BLOCK], octets: &mut [u8])
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = cipher::consts::U8>,
{
    let mut chain = iv;
    for place in octets.as_chunks_mut::<BLOCK>().0 {
        let mut block = Array(xor(*place, chain));
        cipher.encrypt_block(&mut block);
        chain = block.0;
        *place = chain;
    }
}

fn decrypt<C>(cipher: &C, iv: [u8; BLOCK], octets: &mut [u8])
where
    C: BlockCipherDecrypt + BlockSizeUser<BlockSize = cipher::consts::U8>,
{
    let mut chain = iv;
    for place in octets.as_chunks_mut::<BLOCK>().0 {
        let encrypted = *place;
        let mut block = Array(encrypted);
        cipher.decrypt_block(&mut block);
        *place = xor(block.0, chain);
        chain = encrypted;
    }
}

fn xor(one: [u8; BLOCK], other: [u8; BLOCK]) -> [u8; BLOCK] {
    (u64::from_ne_bytes(one) ^ u64::from_ne_bytes(other)).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encrypted_can_be_decrypted_with_every_cipher() {
        for bulk in crate::wtls::suite::BULKS {
            let key: Vec<u8> = (0..).take(bulk.expanded).collect();
            let cipher = BlockCipher::new(bulk, &key);
            let plain: Vec<u8> = (0..32).collect();
            let mut octets = plain.clone();
            cipher.encrypt([7; 8], &mut octets);
            assert_eq!(octets == plain, bulk.block == 0, "{}", bulk.name);
            cipher.decrypt([7; 8], &mut octets);
            assert_eq!(octets, plain, "{}", bulk.name);
        }
    }

    /// FIPS 81, table C1; the test vectors of IDEA's authors; Rivest's of RC5-32/12/16.
    #[test]
    fn ciphers_give_what_their_authors_say() {
        let block = |number, key: &[u8], plain: [u8; 8]| {
            let mut octets = plain;
            BlockCipher::new(Bulk::of(number).unwrap(), key).encrypt([0; 8], &mut octets);
            octets
        };
        let key = 0x0123_4567_89ab_cdef_u64.to_be_bytes();
        let now = *b"Now is t";
        let des = 0x3fa4_0e8a_984d_4815_u64.to_be_bytes();
        assert_eq!(block(5, &key, now), des);
        assert_eq!(block(6, &key.repeat(3), now), des);
        let key: Vec<u8> = (1..=8).flat_map(|octet| [0, octet]).collect();
        let plain = [0, 0, 0, 1, 0, 2, 0, 3];
        assert_eq!(
            block(9, &key, plain),
            0x11fb_ed2b_0198_6de5_u64.to_be_bytes()
        );
        let rc5 = [0x21, 0xa5, 0xdb, 0xee, 0x15, 0x4b, 0x8f, 0x6d];
        assert_eq!(block(2, &[0; 16], [0; 8]), rc5);
    }
}
