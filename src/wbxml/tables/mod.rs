//! The vocabularies: one data file each, all listed here.
//!
//! The data files were generated from `fixtures/wbxml/*.tsv`. The tests below compare them with the
//! fixtures.

mod co;
mod csp;
mod ddf;
mod devinf;
mod drmrel;
mod emn;
mod metinf;
mod ota;
mod prov;
mod si;
mod sl;
mod syncml;
mod wml;

use crate::wbxml::vocabulary::{AttributePage, Page, Space, Vocabulary};

/// Every vocabulary this codec knows.
pub static ALL: [&Vocabulary; 21] = [
    &SYNCML_1_0,
    &SYNCML_1_1,
    &SYNCML_1_2,
    &METINF_1_2,
    &DEVINF_1_0,
    &DEVINF_1_1,
    &DEVINF_1_2,
    &SI,
    &SL,
    &CO,
    &EMN,
    &PROV,
    &WML_1_1,
    &WML_1_2,
    &WML_1_3,
    &CSP_1_1,
    &CSP_1_2,
    &DRMREL,
    &OTA,
    &DDF_1_2,
    &UNKNOWN,
];

/// The vocabulary of a document of unknown type: every token is unassigned.
pub static UNKNOWN: Vocabulary = Vocabulary {
    name: "unknown",
    ..ANY
};

macro_rules! syncml {
    ($($NAME:ident $name:literal $number:literal $namespace:literal $public:literal $system:literal;)*) => {$(
        #[doc = concat!($name, " with its MetInf on code page 1.")]
        pub static $NAME: Vocabulary = Vocabulary {
            name: $name,
            number: $number,
            public_id: $public,
            system_id: $system,
            root: "SyncML",
            pages: &[
                Page { number: 0, namespace: $namespace, tags: &syncml::SYNCML },
                Page { number: 1, namespace: METINF_NAMESPACE, tags: &metinf::METINF },
            ],
            ..STRICT
        };
    )*};
}
syncml! {
    SYNCML_1_0 "SyncML 1.0" 0x0FD1 "SYNCML:SYNCML1.0" "-//SYNCML//DTD SyncML 1.0//EN"
        "http://www.syncml.org/docs/syncml_represent_v10_20001207.dtd";
    SYNCML_1_1 "SyncML 1.1" 0x0FD3 "SYNCML:SYNCML1.1" "-//SYNCML//DTD SyncML 1.1//EN"
        "http://www.syncml.org/docs/syncml_represent_v11_20020213.dtd";
    SYNCML_1_2 "SyncML 1.2" 0x1201 "SYNCML:SYNCML1.2" "-//SYNCML//DTD SyncML 1.2//EN"
        "http://www.openmobilealliance.org/tech/DTD/OMA-TS-SyncML_RepPro_DTD-V1_2.dtd";
}

/// MetInf 1.2 alone. Inside SyncML it is a code page and needs no document.
pub static METINF_1_2: Vocabulary = Vocabulary {
    name: "MetInf 1.2",
    number: 0x1202,
    public_id: "-//SYNCML//DTD MetInf 1.2//EN",
    system_id: "http://www.openmobilealliance.org/tech/DTD/OMA-TS-SyncML_MetaInfo_DTD-V1_2.dtd",
    root: "MetInf",
    pages: &[Page {
        number: 1,
        namespace: METINF_NAMESPACE,
        tags: &metinf::METINF,
    }],
    ..STRICT
};

macro_rules! devinf {
    ($($NAME:ident $name:literal $number:literal $tags:ident $public:literal $system:literal;)*) => {$(
        #[doc = concat!($name, ", embedded in a SyncML message.")]
        pub static $NAME: Vocabulary = Vocabulary {
            name: $name,
            number: $number,
            public_id: $public,
            system_id: $system,
            root: "DevInf",
            pages: &[Page { number: 0, namespace: "syncml:devinf", tags: &devinf::$tags }],
            ..STRICT
        };
    )*};
}
devinf! {
    DEVINF_1_0 "DevInf 1.0" 0x0FD2 DEVINF_1_1 "-//SYNCML//DTD DevInf 1.0//EN"
        "http://www.syncml.org/docs/syncml_devinf_v10_20001207.dtd";
    DEVINF_1_1 "DevInf 1.1" 0x0FD4 DEVINF_1_1 "-//SYNCML//DTD DevInf 1.1//EN"
        "http://www.syncml.org/docs/devinf_v11_20020215.dtd";
    DEVINF_1_2 "DevInf 1.2" 0x1203 DEVINF_1_2 "-//SYNCML//DTD DevInf 1.2//EN"
        "http://www.openmobilealliance.org/tech/DTD/OMA-SyncML-Device_Information-DTD-1.2.dtd";
}

/// Service Indication.
pub static SI: Vocabulary = Vocabulary {
    name: "SI 1.0",
    number: 0x05,
    public_id: "-//WAPFORUM//DTD SI 1.0//EN",
    system_id: "http://www.wapforum.org/DTD/si.dtd",
    root: "si",
    pages: &[Page {
        number: 0,
        namespace: "",
        tags: &si::SI,
    }],
    attribute_pages: &[AttributePage {
        number: 0,
        attributes: &si::SI_ATTRIBUTES,
    }],
    datetimes: &["created", "si-expires"],
    defaults: &[("indication", "action", "signal-medium")],
    ..STRICT
};

/// Service Loading.
pub static SL: Vocabulary = Vocabulary {
    name: "SL 1.0",
    number: 0x06,
    public_id: "-//WAPFORUM//DTD SL 1.0//EN",
    system_id: "http://www.wapforum.org/DTD/sl.dtd",
    root: "sl",
    pages: &[Page {
        number: 0,
        namespace: "",
        tags: &sl::SL,
    }],
    attribute_pages: &[AttributePage {
        number: 0,
        attributes: &sl::SL_ATTRIBUTES,
    }],
    defaults: &[("sl", "action", "execute-low")],
    ..STRICT
};

/// Cache Operation.
pub static CO: Vocabulary = Vocabulary {
    name: "CO 1.0",
    number: 0x07,
    public_id: "-//WAPFORUM//DTD CO 1.0//EN",
    system_id: "http://www.wapforum.org/DTD/co_1.0.dtd",
    root: "co",
    pages: &[Page {
        number: 0,
        namespace: "",
        tags: &co::CO,
    }],
    attribute_pages: &[AttributePage {
        number: 0,
        attributes: &co::CO_ATTRIBUTES,
    }],
    ..STRICT
};

/// E-Mail Notification.
pub static EMN: Vocabulary = Vocabulary {
    name: "EMN 1.0",
    number: 0x0D,
    public_id: "-//WAPFORUM//DTD EMN 1.0//EN",
    system_id: "http://www.wapforum.org/DTD/emn.dtd",
    root: "emn",
    pages: &[Page {
        number: 0,
        namespace: "",
        tags: &emn::EMN,
    }],
    attribute_pages: &[AttributePage {
        number: 0,
        attributes: &emn::EMN_ATTRIBUTES,
    }],
    datetimes: &["timestamp"],
    ..STRICT
};

/// Client Provisioning.
pub static PROV: Vocabulary = Vocabulary {
    name: "PROV 1.0",
    number: 0x0B,
    public_id: "-//WAPFORUM//DTD PROV 1.0//EN",
    system_id: "http://www.wapforum.org/DTD/prov.dtd",
    root: "wap-provisioningdoc",
    pages: &[
        Page {
            number: 0,
            namespace: "",
            tags: &prov::PROV,
        },
        Page {
            number: 1,
            namespace: "",
            tags: &prov::PROV_1,
        },
    ],
    attribute_pages: &[
        AttributePage {
            number: 0,
            attributes: &prov::PROV_ATTRIBUTES,
        },
        AttributePage {
            number: 1,
            attributes: &prov::PROV_1_ATTRIBUTES,
        },
    ],
    ..STRICT
};

macro_rules! wml {
    ($($NAME:ident $name:literal $number:literal $public:literal $system:literal;)*) => {$(
        #[doc = concat!($name, ".")]
        pub static $NAME: Vocabulary = Vocabulary {
            name: $name,
            number: $number,
            public_id: $public,
            system_id: $system,
            root: "wml",
            pages: &[Page { number: 0, namespace: "", tags: &wml::WML }],
            attribute_pages: &[AttributePage { number: 0, attributes: &wml::WML_ATTRIBUTES }],
            defaults: wml::DEFAULTS,
            space: Space::Variables,
            ..ANY
        };
    )*};
}
wml! {
    WML_1_1 "WML 1.1" 0x04 "-//WAPFORUM//DTD WML 1.1//EN" "http://www.wapforum.org/DTD/wml_1_1.dtd";
    WML_1_2 "WML 1.2" 0x09 "-//WAPFORUM//DTD WML 1.2//EN" "http://www.wapforum.org/DTD/wml12.dtd";
    WML_1_3 "WML 1.3" 0x0A "-//WAPFORUM//DTD WML 1.3//EN" "http://www.wapforum.org/DTD/wml13.dtd";
}

macro_rules! csp {
    ($($NAME:ident $name:literal $number:literal $page_6:ident $public:literal $system:literal;)*) => {$(
        #[doc = concat!($name, ", the client-server protocol of Wireless Village.")]
        pub static $NAME: Vocabulary = Vocabulary {
            name: $name,
            number: $number,
            public_id: $public,
            system_id: $system,
            root: "WV-CSP-Message",
            pages: &[
                Page { number: 0, namespace: "", tags: &csp::CSP_0 },
                Page { number: 1, namespace: "", tags: &csp::CSP_1 },
                Page { number: 2, namespace: "", tags: &csp::CSP_2 },
                Page { number: 3, namespace: "", tags: &csp::CSP_3 },
                Page { number: 4, namespace: "", tags: &csp::CSP_4 },
                Page { number: 5, namespace: "", tags: &csp::CSP_5 },
                Page { number: 6, namespace: "", tags: &csp::$page_6 },
                Page { number: 7, namespace: "", tags: &csp::CSP_7 },
                Page { number: 8, namespace: "", tags: &csp::CSP_8 },
                Page { number: 9, namespace: "", tags: &csp::CSP_9 },
                Page { number: 10, namespace: "", tags: &csp::CSP_10 },
            ],
            attribute_pages: &[AttributePage { number: 0, attributes: &csp::CSP_ATTRIBUTES }],
            extensions: csp::CSP_EXTENSIONS,
            opaques: csp::CSP_OPAQUES,
            ..STRICT
        };
    )*};
}
csp! {
    CSP_1_1 "WV-CSP 1.1" 0x10 CSP_6_OF_1_1 "-//WIRELESSVILLAGE//DTD CSP 1.1//EN"
        "http://www.openmobilealliance.org/DTD/WV-CSP.XML";
    CSP_1_2 "WV-CSP 1.2" 0x11 CSP_6 "-//OMA//DTD WV-CSP 1.2//EN"
        "http://www.openmobilealliance.org/DTD/WV-CSP.DTD";
}

/// Rights of OMA DRM 1.0. The prefixes belong to the names, as one table has tags of three
/// namespaces.
pub static DRMREL: Vocabulary = Vocabulary {
    name: "DRMREL 1.0",
    number: 0x0E,
    public_id: "-//OMA//DTD DRMREL 1.0//EN",
    system_id: "http://www.openmobilealliance.org/DTD/drmrel10.dtd",
    root: "o-ex:rights",
    pages: &[Page {
        number: 0,
        namespace: "",
        tags: &drmrel::DRMREL,
    }],
    attribute_pages: &[AttributePage {
        number: 0,
        attributes: &drmrel::DRMREL_ATTRIBUTES,
    }],
    ..STRICT
};

/// Over The Air Settings. The type has no public identifier; its documents are recognised by their
/// first elements.
pub static OTA: Vocabulary = Vocabulary {
    name: "OTA 7.0",
    root: "CHARACTERISTIC-LIST",
    pages: &[Page {
        number: 0,
        namespace: "",
        tags: &ota::OTA,
    }],
    attribute_pages: &[AttributePage {
        number: 0,
        attributes: &ota::OTA_ATTRIBUTES,
    }],
    base64: &[("NAME", "ICON", "VALUE")],
    ..STRICT
};

/// Descriptions of device management objects, embedded in a SyncML message.
pub static DDF_1_2: Vocabulary = Vocabulary {
    name: "DDF 1.2",
    public_id: "-//OMA//DTD-DM-DDF 1.2//EN",
    system_id: "http://www.openmobilealliance.org/tech/DTD/dm_ddf-v1_2.dtd",
    root: "MgmtTree",
    pages: &[Page {
        number: 2,
        namespace: "syncml:dmddf1.2",
        tags: &ddf::DDF,
    }],
    ..STRICT
};

const METINF_NAMESPACE: &str = "syncml:metinf";

/// The properties of most document types: only elements or only text inside an element, no dates.
const STRICT: Vocabulary = Vocabulary {
    space: Space::Ignorable,
    ..ANY
};

const ANY: Vocabulary = Vocabulary {
    name: "",
    number: 1,
    public_id: "",
    system_id: "",
    root: "",
    pages: &[],
    attribute_pages: &[],
    datetimes: &[],
    defaults: &[],
    extensions: &[],
    opaques: &[],
    base64: &[],
    space: Space::Kept,
};

impl Vocabulary {
    /// The document type with this assigned public identifier.
    #[must_use]
    pub fn by_number(number: u32) -> Option<&'static Self> {
        ALL.into_iter().find(|v| v.number == number && number > 1)
    }

    /// The document type with this formal public identifier.
    #[must_use]
    pub fn by_public_id(public_id: &[u8]) -> Option<&'static Self> {
        ALL.into_iter()
            .find(|v| v.public_id.as_bytes() == public_id && !public_id.is_empty())
            .or_else(|| (public_id == OTHER_CSP_1_1).then_some(&CSP_1_1))
    }
}

/// The later public identifier of CSP 1.1, by OMA.
const OTHER_CSP_1_1: &[u8] = b"-//OMA//DTD WV-CSP 1.1//EN";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TOKENS: &str = include_str!("../../../fixtures/wbxml/tokens.tsv");
    const ATTRIBUTES: &str = include_str!("../../../fixtures/wbxml/attributes.tsv");
    const EXTENSIONS: &str = include_str!("../../../fixtures/wbxml/extensions.tsv");

    fn rows(tsv: &str) -> impl Iterator<Item = Vec<&str>> {
        tsv.lines().skip(1).map(|line| line.split('\t').collect())
    }

    fn hex(text: &str) -> u32 {
        u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
    }

    fn octet(text: &str) -> u8 {
        u8::try_from(hex(text)).unwrap()
    }

    fn vocabulary(document: &str) -> &'static Vocabulary {
        // MetInf 1.0 and 1.1 have no number of their own; they exist as page 1 of SyncML.
        let document = if document.starts_with("MetInf") {
            "MetInf 1.2"
        } else {
            document
        };
        ALL.into_iter().find(|v| v.name == document).unwrap()
    }

    fn page(text: &str) -> u8 {
        text.parse().unwrap()
    }

    #[test]
    fn every_tag_of_the_register_is_in_the_tables() {
        for row in rows(TOKENS) {
            let vocabulary = vocabulary(row[0]);
            let token = octet(row[5]);
            let tags = vocabulary.tags(page(row[3]));
            assert_eq!(tags.name(token), Some(row[6]), "{row:?}");
            assert_eq!(tags.token(row[6].as_bytes()), Some(token), "{row:?}");
            if row[1] != "none" {
                assert_eq!(vocabulary.number, hex(row[1]), "{row:?}");
                assert_eq!(vocabulary.public_id, row[2]);
            }
        }
    }

    #[test]
    fn every_tag_of_the_tables_is_in_the_register() {
        let known: BTreeSet<_> = rows(TOKENS)
            .map(|row| {
                let family = row[0].split(' ').next().unwrap().to_owned();
                (family, page(row[3]), octet(row[5]), row[6].to_owned())
            })
            .collect();
        for vocabulary in ALL {
            let family = vocabulary.name.split(' ').next().unwrap();
            for page in vocabulary.pages {
                for token in 0..64 {
                    if let Some(name) = page.tags.name(token) {
                        let row = (family.to_owned(), page.number, token, name.to_owned());
                        assert!(known.contains(&row), "{row:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_extension_of_the_register_is_in_the_tables_and_the_reverse() {
        for row in rows(EXTENSIONS) {
            let vocabulary = vocabulary(row[0]);
            assert_eq!(vocabulary.number, hex(row[1]), "{row:?}");
            assert_eq!(
                vocabulary.extension(0, hex(row[4])),
                Some(row[5]),
                "{row:?}"
            );
        }
        for vocabulary in ALL {
            for (value, text) in vocabulary.extensions {
                let known = rows(EXTENSIONS).any(|row| hex(row[4]) == *value && row[5] == *text);
                assert!(known, "{} {value:#x} {text}", vocabulary.name);
            }
            assert!(vocabulary.extensions.is_sorted_by_key(|(value, _)| *value));
        }
    }

    /// Values 80 to 84 would be global tokens: EXT_T_0 to EXT_T_2, STR_T and LITERAL_A.
    fn is_global(kind: &str, token: u32) -> bool {
        kind == "attribute-value" && (0x80..0x85).contains(&token)
    }

    #[test]
    fn every_attribute_of_the_register_is_in_the_tables() {
        let mut left_out = 0;
        for row in rows(ATTRIBUTES) {
            let attributes = vocabulary(row[0]).attributes(page(row[3]));
            let token = hex(row[5]);
            if is_global(row[4], token) {
                left_out += 1;
                continue;
            }
            let token = octet(row[5]);
            match row[4] {
                "attribute-start" => {
                    assert_eq!(attributes.start(token), Some((row[6], row[7])), "{row:?}");
                }
                _ => assert_eq!(attributes.value(token), Some(row[7]), "{row:?}"),
            }
        }
        assert_eq!(left_out, 3);
    }

    #[test]
    fn every_attribute_of_the_tables_is_in_the_register() {
        let known: BTreeSet<_> = rows(ATTRIBUTES)
            .map(|row| {
                let family = row[0].split(' ').next().unwrap().to_owned();
                (
                    family,
                    page(row[3]),
                    octet(row[5]),
                    row[6].to_owned(),
                    row[7].to_owned(),
                )
            })
            .collect();
        for vocabulary in ALL {
            let family = vocabulary.name.split(' ').next().unwrap();
            for page in vocabulary.attribute_pages {
                for token in 0..=255u8 {
                    let found = page
                        .attributes
                        .start(token)
                        .or_else(|| page.attributes.value(token).map(|value| ("", value)));
                    if let Some((name, value)) = found {
                        let row = (
                            family.to_owned(),
                            page.number,
                            token,
                            name.to_owned(),
                            value.to_owned(),
                        );
                        assert!(known.contains(&row), "{row:?}");
                    }
                }
            }
        }
    }
}
