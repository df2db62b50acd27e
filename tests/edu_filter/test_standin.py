"""The stand-in as rater and labeller."""

import re

from hypothesis import given

from tests.common.standin_texts import ES, PAGE, SEEDS, rule

SCORE = re.compile(r"PUNTUACIÓN EDUCATIVA[:\s]*([\d\.]+)")
EDU = "Evalúe de 0 a 5.\n\nExtracto:\n{}\n\nTras examinarlo, termine con «PUNTUACIÓN EDUCATIVA: <puntos>»."
LABELS = (
    "DOMINIOS:\n- Educación: escuelas\n- Salud: médicos\nCASOS DE USO:\n- Tutoría STEM: clases\n"
    "- Telemedicina: consultas\n\nTexto: {}\n\nFormato:\nDOMINIO: <lista>\nCASOS DE USO: <lista>"
)


@given(PAGE, SEEDS)
def test_edu_score_parses(text, seed):
    assert SCORE.search(rule(EDU.format(text), seed=seed))[1] in "012345"


def test_edu_score_tells_lessons_from_advertisements():
    lesson = (
        "La célula es la unidad de la vida. Los alumnos estudian la teoría en la escuela, por ejemplo con ejercicios."
    )
    advertisement = "Compra ya: ofertas, precio con descuento, suscríbete y acepta cookies."
    scores = [int(SCORE.search(rule(EDU.format(text)))[1]) for text in (lesson, ES, advertisement)]
    assert scores == sorted(scores, reverse=True) and scores[0] >= 3 and scores[-1] == 0


@given(PAGE)
def test_edu_labels_parse_and_come_from_the_prompt(text):
    domains, use_cases = re.fullmatch(r"DOMINIO: (.+)\nCASOS DE USO: (.+)", rule(LABELS.format(text))).groups()
    assert set(domains.split(", ")) <= {"Educación", "Salud", "Sin coincidencia"}
    assert set(use_cases.split(", ")) <= {"Tutoría STEM", "Telemedicina"}


def test_edu_labels_follow_the_text():
    assert "Salud" in rule(LABELS.format("La telemedicina mejora la salud.")).split("\n")[0]
