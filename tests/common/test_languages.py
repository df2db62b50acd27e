import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.languages import NAMES, PROMPT_LANGUAGES, detect_language

TEXTS = {
    "en": "The committee will publish its report on the flood in spring, and the farmers are asked for their comments.",
    "zh": "委员会将在春天公布关于洪水的报告，并请农民提出意见。",
    "es": "La comisión publicará en primavera su informe sobre la crecida y pide a los agricultores sus comentarios.",
    "pt": "A comissão vai publicar na primavera o relatório sobre a cheia e pede aos agricultores os comentários.",
    "fr": "La commission publiera au printemps son rapport sur les crues et demande l'avis des agriculteurs.",
    "de": "Der Ausschuss wird im Frühjahr den Bericht über das Hochwasser vorlegen und fragt die Bauern.",
    "it": "La commissione pubblicherà in primavera il rapporto sulla piena e chiede i commenti degli agricoltori.",
    "nl": "De commissie publiceert in het voorjaar het rapport over de overstroming en vraagt de boeren om commentaar.",
    "ja": "委員会は春に洪水についての報告書を公表し、農家に意見を求めます。",
    "ko": "위원회는 봄에 홍수에 관한 보고서를 발표하고 농민들의 의견을 구합니다.",
    "ru": "Комиссия опубликует весной доклад о наводнении и просит крестьян прислать замечания.",
    "ar": "ستنشر اللجنة في الربيع تقريرها عن الفيضان وتطلب من المزارعين إرسال ملاحظاتهم.",
}


@pytest.mark.parametrize("language", TEXTS)
def test_a_sentence(language):
    assert detect_language(TEXTS[language]) == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        "W Warszawie otwarto nowy most, który ma skrócić drogę do pracy tysiącom ludzi. Budowa trwała trzy lata.",
        "2024-05-01",
        "x = y + 1",
        "Kubernetes 1.31",
        "\ud800\ud801",
        "🙂🙂🙂",
    ],
)
def test_what_cannot_be_told(text):
    assert detect_language(text) == "und"


def test_names_of_another_script_do_not_change_the_language():
    assert detect_language("苹果公司（Apple Inc.）与谷歌（Google LLC）在周三宣布了新的合作计划。") == "zh"
    assert detect_language("The word for apple in Chinese is 苹果 and the word for pear is 梨子.") == "en"


@given(st.text())
def test_any_text_has_a_name(text):
    assert detect_language(text) in NAMES


def test_prompt_languages_are_named_in_their_own_words():
    assert [NAMES[language] for language in PROMPT_LANGUAGES] == ["English", "中文", "español", "português"]
