"""What the stand-in knows a prompt's labels by, and words of its own, by language."""

LANGUAGES = ("en", "zh", "es", "pt")

# Function words that tell the three languages in Latin script apart (counted, most wins).
COMMON_WORDS = {
    "en": frozenset("the and of is to that with for this are was by from it as be an which have what how".split()),
    "es": frozenset("el los las una y del que con para por se es su al lo más como está son la en qué cuál".split()),
    "pt": frozenset("o os uma um e do da dos das não com para que em na no ao são mais como é qual pelo".split()),
}

# Roles of the sections of a prompt, and the words (regular expressions) that label them.
LABEL_WORDS = {
    "text": "(?:web ?)?pages?|texts?|contexts?|passages?|documents?|articles?|extracts?|website|"
    "(?:网页|文本|上下文|文章|材料|摘录|正文|原文|段落)(?:内容)?|内容|textos?|páginas?(?: web)?|contextos?|documentos?|"
    "art[íi]culos?|artigos?|extrac?tos?|fragmentos?|trechos?|pasajes?|contenidos?|conteúdos?",
    "question": "questions?|query|requests?|instructions?|tasks?|问题|请求|指令|要求|提问|题目|"
    "preguntas?|perguntas?|petici[óo]n|solicitud|solicitação|pedido|instrucci[óo]n|instrução|consulta",
    "answer": "(?:(?:reference|model|draft|gold|correct|predicted|first|given) )?"
    "(?:answers?|responses?|repl(?:y|ies)|drafts?)|"
    "(?:参考|标准|模型)?(?:答案|回答|回复|答复)|草稿|初稿|respuestas?|respostas?|borrador|rascunho|referencia|referência",
    "reasoning": "reasoning|rationale|thoughts?|推理|思考|分析|理由|razonamiento|raciocínio",
    "other": "author|writer|profile|persona|作者|autora?|perfil|language|语言|idioma|"
    "format|格式|formato|example|示例|ejemplo|exemplo",
}

QUESTIONS = {
    "en": [
        'What does the text say about "{0}"?',
        'How should one understand "{0}", and why does it matter?',
        'Which details are given on "{0}"?',
        'Can you explain what lies behind "{0}"?',
        'What follows from "{0}"?',
    ],
    "zh": [
        "关于“{0}”，文中说了什么？",
        "应当如何理解“{0}”？",
        "“{0}”有哪些具体情况？",
        "能否说明“{0}”背后的原因？",
        "从“{0}”可以得出什么结论？",
    ],
    "es": [
        "¿Qué dice el texto sobre «{0}»?",
        "¿Cómo se entiende «{0}» y por qué importa?",
        "¿Qué detalles se dan de «{0}»?",
        "¿Puede explicar qué hay detrás de «{0}»?",
        "¿Qué se sigue de «{0}»?",
    ],
    "pt": [
        "O que o texto diz sobre «{0}»?",
        "Como se entende «{0}» e por que isso importa?",
        "Quais detalhes são dados de «{0}»?",
        "Pode explicar o que está por trás de «{0}»?",
        "O que se conclui de «{0}»?",
    ],
}

# How quoted clauses are strung together: own words between short quotes.
FRAMES = {
    "en": [
        "First of all: {0}.",
        "It is also said that {0}.",
        "Worth knowing, too: {0}.",
        "One may add: {0}.",
        "And finally: {0}.",
    ],
    "zh": ["首先，{0}。", "其中还提到，{0}。", "值得一提的是，{0}。", "此外，{0}。", "最后，{0}。"],
    "es": [
        "Ante todo: {0}.",
        "También se dice que {0}.",
        "Conviene saber además: {0}.",
        "Cabe añadir: {0}.",
        "Y por último: {0}.",
    ],
    "pt": [
        "Antes de tudo: {0}.",
        "Diz-se também que {0}.",
        "Convém saber ainda: {0}.",
        "Pode-se acrescentar: {0}.",
        "E por fim: {0}.",
    ],
}

NOTHING_TO_QUOTE = {
    "en": 'On "{0}": this rule-based stand-in can only quote what it is given.',
    "zh": "关于“{0}”：这里是按规则作答的替身，只能引用给出的文字。",
    "es": "Sobre «{0}»: este sustituto basado en reglas solo puede citar lo que recibe.",
    "pt": "Sobre «{0}»: este substituto baseado em regras só pode citar o que recebe.",
}

REASONS = {
    "en": 'The context says: "{0}"',
    "zh": "文中写道：“{0}”",
    "es": "El contexto dice: «{0}»",
    "pt": "O contexto diz: «{0}»",
}

REFUSALS = {
    "en": "I'm sorry, but I can't help with that.",
    "zh": "抱歉，我无法回答这个问题。",
    "es": "Lo siento, pero no puedo ayudar con eso.",
    "pt": "Desculpe, mas não posso ajudar com isso.",
}
