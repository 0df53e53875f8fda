//! Why this exists: "colour" and "color" are the same word, and whoever wrote the reference chose one of them. English
//! spelling differs in families of words, so rules cover most of it and a short list the rest.

/// The American spelling of a lower-case word: families of words by rule, the rest from a short list.
pub(super) fn american(word: &str) -> String {
    if !word.is_ascii() || word.len() < 4 {
        return word.to_owned();
    }
    let part = PARTS.iter().find(|(from, _)| word.contains(from));
    let word = part.map_or_else(|| word.to_owned(), |(from, to)| word.replacen(from, to, 1));
    let rules = [our_to_or, respelled, ized, single_l, re_to_er];
    rules.iter().find_map(|rule| rule(&word)).unwrap_or(word)
}

/// "colour" to "color", with compounds and inflections.
fn our_to_or(word: &str) -> Option<String> {
    let (at, _) = word
        .match_indices("our")
        .find(|&(at, _)| word.get(..at).is_some_and(|stem| OUR.iter().any(|end| stem.ends_with(end))))?;
    Some(format!("{}or{}", word.get(..at)?, word.get(at + 3..)?))
}

/// A word of [`RESPELLED`], perhaps inflected.
fn respelled(word: &str) -> Option<String> {
    const ENDINGS: &[&str] =
        &["", "s", "d", "ed", "r", "er", "ers", "ing", "ish", "less", "ly", "ment", "ments", "ness"];
    RESPELLED.iter().find_map(|(from, to)| {
        let ending = word.strip_prefix(from)?;
        // "programme" becomes "program", but "programmed" is spelt so everywhere.
        let e_lost = from.ends_with('e') && !to.ends_with('e');
        let known = if e_lost { matches!(ending, "" | "s") } else { ENDINGS.contains(&ending) };
        known.then(|| format!("{to}{ending}"))
    })
}

/// "organise" to "organize", "analyse" to "analyze", with their inflections.
fn ized(word: &str) -> Option<String> {
    const ENDINGS: &[&str] = &[
        "e", "es", "ed", "er", "ers", "ing", "ingly", "edly", "ation", "ations", "ational", "able", "ably",
        "ement", "ements",
    ];
    /// Stems before "-ise" that are spelt with an s everywhere.
    const ALWAYS_S: &[&str] = &[
        "advert", "appr", "chast", "chem", "circumc", "compr", "conc", "desp", "enterpr", "exerc", "expert",
        "franch", "highr", "improv", "merchand", "metropol", "moonr", "parad", "prec", "prem", "prom",
        "repr", "sunr", "superv", "supr", "surm", "surpr", "telev", "treat", "trell", "w",
    ];
    let (at, _) = word
        .rmatch_indices('s')
        .find(|(at, _)| word.get(at + 1..).is_some_and(|ending| ENDINGS.contains(&ending)))?;
    let (stem, ending) = (word.get(..at)?, word.get(at + 1..)?);
    let converts = match stem.strip_suffix('i') {
        Some(stem) => {
            (stem.len() > 3 || stem == "ion")
                && !stem.ends_with(['a', 'e', 'i', 'o', 'u'])
                && !ALWAYS_S.iter().any(|always| stem.ends_with(always))
        }
        None => stem.ends_with("aly") || stem.ends_with("roly"),
    };
    converts.then(|| format!("{stem}z{ending}"))
}

/// "travelled" to "traveled": verbs whose last syllable is not stressed.
fn single_l(word: &str) -> Option<String> {
    const STEMS: &[&str] = &[
        "appare", "backpeda", "barre", "bedevi", "bejewe", "beve", "cance", "caro", "cavi", "channe",
        "chise", "counse", "cudge", "devi", "dia", "disheve", "dowe", "drive", "due", "ename", "equa", "fue",
        "funne", "gambo", "grave", "grove", "imperi", "initia", "jewe", "kenne", "labe", "leve", "libe",
        "marsha", "marve", "meda", "meta", "mode", "pane", "parce", "peda", "penci", "pumme", "quarre",
        "rave", "refue", "remode", "reve", "riva", "shove", "shrive", "signa", "snive", "snorke", "spira",
        "squirre", "stenci", "swive", "symbo", "tasse", "tinse", "tota", "towe", "trave", "tria", "trowe",
        "tunne", "unequa", "unrave", "unriva", "victua", "wease", "yode",
    ];
    let (stem, ending) = word.rsplit_once("ll")?;
    let inflected = matches!(ending, "ed" | "ing" | "ings" | "er" | "ers" | "or" | "ors" | "ous" | "ously");
    (inflected && STEMS.contains(&stem)).then(|| format!("{stem}l{ending}"))
}

/// "centre" to "center", with compounds and inflections.
fn re_to_er(word: &str) -> Option<String> {
    const STEMS: &[&str] = &[
        "accout", "calib", "cent", "fib", "goit", "lit", "louv", "lust", "meag", "met", "mit", "och", "sab",
        "saltpet", "scept", "sepulch", "somb", "spect", "theat",
    ];
    [("res", "ers"), ("red", "ered"), ("ring", "ering"), ("re", "er")].iter().find_map(|(from, to)| {
        let stem = word.strip_suffix(from)?;
        STEMS.iter().any(|end| stem.ends_with(end)).then(|| format!("{stem}{to}"))
    })
}

/// Words by themselves: from the British spelling to the American one. The first that fits counts.
const RESPELLED: &[(&str, &str)] = &[
    ("aeon", "eon"),
    ("aeroplane", "airplane"),
    ("ageing", "aging"),
    ("aluminium", "aluminum"),
    ("analogue", "analog"),
    ("appal", "appall"),
    ("artefact", "artifact"),
    ("bannister", "banister"),
    ("baulk", "balk"),
    ("catalogued", "cataloged"),
    ("cataloguing", "cataloging"),
    ("catalogue", "catalog"),
    ("cheque", "check"),
    ("chequebook", "checkbook"),
    ("chequer", "checker"),
    ("connexion", "connection"),
    ("cosier", "cozier"),
    ("cosiest", "coziest"),
    ("cosily", "cozily"),
    ("cosiness", "coziness"),
    ("cosy", "cozy"),
    ("councillor", "councilor"),
    ("cypher", "cipher"),
    ("defence", "defense"),
    ("dialogue", "dialog"),
    ("disc", "disk"),
    ("distil", "distill"),
    ("enrol", "enroll"),
    ("enthral", "enthrall"),
    ("epilogue", "epilog"),
    ("fillet", "filet"),
    ("fulfil", "fulfill"),
    ("furore", "furor"),
    ("gramme", "gram"),
    ("grey", "gray"),
    ("gruelling", "grueling"),
    ("instal", "install"),
    ("instil", "instill"),
    ("jewellery", "jewelry"),
    ("judgement", "judgment"),
    ("kilogramme", "kilogram"),
    ("licence", "license"),
    ("likeable", "likable"),
    ("liquorice", "licorice"),
    ("milligramme", "milligram"),
    ("monologue", "monolog"),
    ("moustache", "mustache"),
    ("mum", "mom"),
    ("offence", "offense"),
    ("omelette", "omelet"),
    ("phoney", "phony"),
    ("practis", "practic"),
    ("practise", "practice"),
    ("pretence", "pretense"),
    ("programme", "program"),
    ("prologue", "prolog"),
    ("pyjama", "pajama"),
    ("skilful", "skillful"),
    ("storeys", "stories"),
    ("storey", "story"),
    ("syphon", "siphon"),
    ("tonne", "ton"),
    ("tyre", "tire"),
    ("waggon", "wagon"),
    ("woollen", "woolen"),
    ("worshipped", "worshiped"),
    ("worshipper", "worshiper"),
    ("worshipping", "worshiping"),
    ("yoghurt", "yogurt"),
];

/// What stands before "our" where Americans write "or", wherever it is in a word ("discoloured").
const OUR: &[&str] = &[
    "arb", "ard", "arm", "behavi", "cand", "clam", "clang", "col", "demean", "enam", "endeav", "fav", "ferv",
    "flav", "hon", "hum", "lab", "neighb", "od", "parl", "ranc", "rig", "rum", "savi", "sav", "splend",
    "succ", "tum", "val", "vap", "vig",
];

/// Parts of words that are British wherever they stand.
const PARTS: &[(&str, &str)] = &[
    ("aemi", "emi"),
    ("aesthe", "esthe"),
    ("archaeo", "archeo"),
    ("caesarea", "cesarea"),
    ("centref", "centerf"),
    ("centrep", "centerp"),
    ("draught", "draft"),
    ("faec", "fec"),
    ("fibreg", "fiberg"),
    ("foet", "fet"),
    ("gaol", "jail"),
    ("gynaec", "gynec"),
    ("haem", "hem"),
    ("homoeo", "homeo"),
    ("manoeuvra", "maneuvera"),
    ("manoeuvre", "maneuver"),
    ("manoeuvri", "maneuveri"),
    ("mediaev", "mediev"),
    ("mould", "mold"),
    ("moult", "molt"),
    ("oesoph", "esoph"),
    ("oestr", "estr"),
    ("paed", "ped"),
    ("palaeo", "paleo"),
    ("plough", "plow"),
    ("rrhoea", "rrhea"),
    ("sceptic", "skeptic"),
    ("theatreg", "theaterg"),
    ("tranquilli", "tranquili"),
];

#[cfg(test)]
mod tests {
    use super::american;

    #[test]
    fn families_follow_their_rule() {
        for (british, us) in [
            ("colour", "color"),
            ("discoloured", "discolored"),
            ("neighbourhood", "neighborhood"),
            ("favourite", "favorite"),
            ("organise", "organize"),
            ("apologised", "apologized"),
            ("realisation", "realization"),
            ("analysed", "analyzed"),
            ("centre", "center"),
            ("kilometres", "kilometers"),
            ("travelling", "traveling"),
            ("counsellor", "counselor"),
            ("anaemia", "anemia"),
            ("programmes", "programs"),
            ("cheques", "checks"),
            ("storeys", "stories"),
        ] {
            assert_eq!(american(british), us);
        }
    }

    #[test]
    fn words_that_only_look_british_stay() {
        for word in [
            "four",
            "hour",
            "your",
            "tour",
            "contour",
            "devour",
            "glamour",
            "advise",
            "promise",
            "otherwise",
            "exercise",
            "surprised",
            "comprises",
            "noise",
            "louise",
            "wise",
            "raise",
            "crises",
            "filled",
            "called",
            "calling",
            "controlled",
            "seller",
            "spelling",
            "programmed",
            "programmer",
            "acre",
            "there",
            "before",
            "hatred",
            "hundred",
            "scent",
            "analysis",
            "aerial",
            "does",
            "shoe",
        ] {
            assert_eq!(american(word), word);
        }
    }

    #[test]
    fn an_american_spelling_is_final() {
        for (from, to) in super::RESPELLED.iter().chain(super::PARTS) {
            assert_eq!(american(&american(from)), american(from), "{from} to {to}");
        }
    }
}
