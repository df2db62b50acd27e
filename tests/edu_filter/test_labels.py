"""Replies to labels: the released patterns in one walk, ours line by line, and any list of names."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadInput, Reject
from edu_filter.labels import (
    KINDS,
    MARKS,
    json_schema,
    listed,
    load_taxonomy,
    outside_their_domains,
    parse_labels,
    released_entry,
    released_labels,
)
from edu_filter.shares import shares
from tests.oracles import edu_labels

TAXONOMY = load_taxonomy()
DOMAINS, USES = sorted(set(TAXONOMY.names["domains"]) - {"none"}), sorted(TAXONOMY.domain_of)


PIECES = ["DOMINIO", "CASOS DE USO", "Salud", "a", "é1_", ":", ",", ", ", "\n", " ", ".", "-", "DOMINIO: Salud\n"]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_one_walk_finds_what_the_patterns_find(reply):
    assert released_labels(reply) == edu_labels.labels(reply)


def test_repeated_marks_cost_one_walk():
    assert released_labels("DOMINIO " * 130_000) == (None, None)


@given(
    st.sampled_from(["es", "pt", "en", "zh"]),
    st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=4, unique=True),
    st.lists(st.sampled_from(USES), min_size=1, max_size=4, unique=True),
    st.sampled_from([", ", ",", "; ", " y ", "、"]),
    st.sampled_from(["{}: {}", "**{}:** {}", '"{}": "{}"', "- {}: {}.", "{}:\n{}", "{}：{} \r"]),
    st.booleans(),
    st.sampled_from(["", "\nEl texto trata de otra cosa.", "\n\nNota: nada más."]),
)
def test_names_are_found_in_any_language_and_dress(lang, domains, uses, joint, form, small, end):
    lists = [
        [TAXONOMY.name(kind, one, lang) for one in found] for kind, found in zip(KINDS, (domains, uses), strict=True)
    ]
    reply = (
        "\n".join(form.format(mark, joint.join(names)) for mark, names in zip(MARKS[lang], lists, strict=True)) + end
    )
    found = parse_labels(reply.lower() if small else reply, TAXONOMY)
    assert found == {"domains": domains, "use_cases": uses}


def test_names_off_the_list_are_kept_and_known_ones_survive():
    found = parse_labels("Dominio: Salud, Deportes\nCasos de uso:\n- E-commerce\n- Robótica (en casa)", TAXONOMY)
    assert found["domains"] == ["health"] and found["other_domains"] == ["deportes"]
    assert found["use_cases"] == ["e_commerce"] and found["other_use_cases"] == ["robotica (en casa"]
    assert outside_their_domains(found, TAXONOMY) == ["e_commerce"]
    assert released_entry(found, TAXONOMY)["use_cases"].startswith("E-commerce, ")


def test_no_match_is_a_label_and_one_list_is_enough():
    assert parse_labels("DOMINIO: Sin coincidencia\nCASOS DE USO: Sin coincidencia.", TAXONOMY)["domains"] == ["none"]
    assert parse_labels("CASOS DE USO: Telemedicina", TAXONOMY) == {"domains": [], "use_cases": ["telemedicine"]}
    with pytest.raises(Reject, match="no domains and no use cases"):
        parse_labels("El texto habla de salud.", TAXONOMY)


@given(
    st.sampled_from(["es", "pt", "en", "zh"]), st.lists(st.sampled_from(DOMAINS), unique=True),
    st.lists(st.sampled_from(USES), min_size=1, unique=True), st.sampled_from(["{}", "```json\n{}\n```"]),
)  # fmt: skip
def test_what_the_schema_allows_is_read_and_other_names_are_kept(lang, domains, uses, fence):
    wanted = {"domains": domains, "use_cases": uses}
    schema = json_schema(TAXONOMY, lang)["json_schema"]["schema"]
    reply = {kind: [TAXONOMY.name(kind, one, lang) for one in ids] for kind, ids in wanted.items()}
    for kind, names in reply.items():
        assert set(names) <= set(schema["properties"][kind]["items"]["enum"])
    assert parse_labels(fence.format(json.dumps(reply)), TAXONOMY) == wanted
    reply["domains"] = [*reply["domains"], "Deportes", None, 3]
    assert parse_labels(json.dumps(reply), TAXONOMY)["other_domains"] == ["deportes"]


@pytest.mark.parametrize("reply", ['{"domains": []}', '{"domains": 3, "use_cases": null}', "{}", '{"domains": "x'])
def test_json_without_names_is_no_labels(reply):
    with pytest.raises(Reject, match="no domains and no use cases"):
        parse_labels(reply, TAXONOMY)


def test_a_taxonomy_of_ones_own(tmp_path):
    mine = {"none": {"en": "Nothing"}, "domains": [
        {"id": "sea", "names": {"en": "Sea"}, "use_cases": [{"id": "ships", "names": {"en": "Ships and Boats"}}]}
    ]}  # fmt: skip
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(mine))
    taxonomy = load_taxonomy(str(path))
    assert listed(taxonomy, "en") == "- Sea\n  * Ships and Boats"
    assert parse_labels("Domain: sea\nUse cases: ships and boats, nothing", taxonomy)["use_cases"] == ["ships", "none"]
    mine["domains"][0]["names"] = {"zh": "海洋、航运"}  # one language, and a comma in a name
    path.write_text(json.dumps(mine))
    load_taxonomy.cache_clear()
    taxonomy = load_taxonomy(str(path))
    assert listed(taxonomy, "en") == "- 海洋、航运\n  * Ships and Boats"
    assert parse_labels("领域：海洋、航运\n用例：Ships and Boats", taxonomy) == {
        "domains": ["sea"],
        "use_cases": ["ships"],
    }
    assert parse_labels('{"domains": ["海洋、航运"]}', taxonomy)["domains"] == ["sea"]
    for domains, why in (([], "no domains"), (mine["domains"] * 2, "sea is there twice")):
        path.write_text(json.dumps(mine | {"domains": domains}))
        load_taxonomy.cache_clear()
        with pytest.raises(BadInput, match=why):
            load_taxonomy(str(path))
    path.write_text("[]")
    load_taxonomy.cache_clear()
    with pytest.raises(BadInput, match="not a taxonomy"):
        load_taxonomy(str(path))


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=3), max_size=20))
def test_shares_are_those_of_a_naive_count(rows):
    found = {share.name: share for share in shares(rows)}
    labelled = sum(bool(row) for row in rows)
    total = sum(len(set(row)) for row in rows)
    for name in "abcd":
        having = sum(name in row for row in rows)
        assert (name in found) == bool(having)
        if having:
            assert found[name].of_rows == pytest.approx(100 * having / labelled)
            assert found[name].of_names == pytest.approx(100 * having / total)
