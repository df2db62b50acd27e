"""The stand-in's own words, by language, and the words it knows a prompt's labels and wishes by."""

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

WISHES = {  # what an instruction asks for, in the four languages, in small letters
    "profile": r"(?s)(?:author|writer|作者|autor|escritor).*(?:(?<!\d)30(?!\d)|thirty|三十|treinta|trinta)"
    r"|(?:(?<!\d)30(?!\d)|thirty|三十|treinta|trinta).*(?:author|writer|作者|autor|escritor)",
    "refine": r"\b(?:refin|improv|polish)\w*|改进|完善|润色|优化|\bmejor\w+|\bmelhor\w+|\brefin\w+|\baprimor\w+",
    "rewrite": r"\brewrit\w+|\btransform\w*|\brephras\w+|改写|重写|转写|改编"
    r"|\breescri\w+|\breescrev\w+|\btransforma\w*",
    "question": r"\b(?:most likely|likely|which|what|infer|guess|write|formulate|pose|ask|predict|make up)\b"
    r"[^.\n]{0,80}\b(?:question|request|instruction|query)\b"
    r"|(?:推测|写出|提出|推断|设想|想出|给出)[^。\n]{0,40}(?:问题|请求|指令|要求)"
    r"|\b(?:escrib|formul|infier|deduc|inferir|plante|redact|imagin|adivin|escrev|deduz|infira|elabor)\w*\b[^.\n]{0,80}"
    r"\b(?:pregunta|petici[óo]n|solicitud|instrucci[óo]n|consulta|pergunta|pedido|solicitação|instrução)\b",
    "limit": r"\b(?:50|100|150|200)\b\s*(?:words|palabras|palavras|个?[字词])|(?:50|100|150|200)\s*个?[字词]",
    "yes_no": r"\byes\b\W{0,3}(?:or|/)\W{0,3}no\b|(?:是|正确)\W{0,2}(?:或者?|/|还是)\W{0,2}(?:否|不是|错误)"
    r"|\bs[ií]\b\W{0,3}[ou/]\W{0,3}no\b|\bsim\b\W{0,3}(?:ou|/)\W{0,3}n[ãa]o\b",
    "ten_points": r"\b(?:one|1)\s*(?:to|-|–|~|through|and|al?|até|y|e)\s*(?:10|ten)\b"
    r"|1\s*[到至~–-]\s*10|十分制|10\s*分",
}

YES_NO = {"en": ("Yes", "No"), "zh": ("是", "否"), "es": ("Sí", "No"), "pt": ("Sim", "Não")}

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

# A request about a text: form, reader, one topic of the text, two constraints. Under 50 words.
REWRITES = {
    "en": 'Turn this text into {form} for {reader}. Keep the point about "{0}", {first} and {second}.',
    "zh": "请把这段文字改成给{reader}看的{form}。保留关于“{0}”的内容，{first}，{second}。",
    "es": "Convierta este texto en {form} para {reader}. Conserve lo dicho sobre «{0}», {first} y {second}.",
    "pt": "Converta este texto em {form} para {reader}. Conserve o que se diz sobre «{0}», {first} e {second}.",
}
FORMS = {
    "en": [
        "a summary of five sentences",
        "a list of the main facts",
        "a friendly letter",
        "a news item",
        "a short FAQ",
    ],
    "zh": ["五句话的摘要", "要点清单", "一封信", "一则新闻", "一组问答"],
    "es": [
        "un resumen de cinco frases",
        "una lista de hechos",
        "una carta amable",
        "una noticia",
        "unas preguntas frecuentes",
    ],
    "pt": [
        "um resumo de cinco frases",
        "uma lista de fatos",
        "uma carta amigável",
        "uma notícia",
        "umas perguntas frequentes",
    ],
}
READERS = {
    "en": ["school pupils", "busy managers", "newcomers to the subject", "a local audience", "experts"],
    "zh": ["中学生", "忙碌的管理者", "初学者", "当地读者", "专业人士"],
    "es": ["estudiantes de secundaria", "directivos con prisa", "principiantes", "un público local", "expertos"],
    "pt": ["estudantes do ensino médio", "gestores com pressa", "principiantes", "um público local", "especialistas"],
}
CONSTRAINTS = {
    "en": [
        "name every number that occurs",
        "begin with the result",
        "avoid technical terms",
        "end with advice",
        "use the present tense",
    ],
    "zh": ["写出所有数字", "先说结论", "避免术语", "最后给出建议", "语气平和"],
    "es": [
        "cite cada cifra",
        "empiece por el resultado",
        "evite tecnicismos",
        "termine con un consejo",
        "use el presente",
    ],
    "pt": [
        "cite cada número",
        "comece pelo resultado",
        "evite termos técnicos",
        "termine com um conselho",
        "use o presente",
    ],
}

PROFILES = {
    "en": [
        'A writer who informs general readers about "{0}" in a {tone} tone.',
        'A {tone} observer who reports on "{0}".',
    ],
    "zh": ["一位以{tone}笔调介绍“{0}”的作者。", "一位关注“{0}”、文风{tone}的撰稿人。"],
    "es": [
        "Autor que informa al público sobre «{0}» con tono {tone}.",
        "Observador de tono {tone} que escribe de «{0}».",
    ],
    "pt": [
        "Autor que informa o público sobre «{0}» em tom {tone}.",
        "Observador de tom {tone} que escreve sobre «{0}».",
    ],
}
TONES = {
    "en": ["matter-of-fact", "lively", "careful"],
    "zh": ["平实", "活泼", "严谨"],
    "es": ["sobrio", "vivo", "prudente"],
    "pt": ["sóbrio", "vivo", "prudente"],
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
LEAD_INS = {
    "en": "Here is an improved answer:",
    "zh": "以下是改进后的回答：",
    "es": "Aquí tienes una respuesta mejorada:",
    "pt": "Aqui está uma resposta melhorada:",
}
REASONS = {
    "en": 'The context says: "{0}"',
    "zh": "文中写道：“{0}”",
    "es": "El contexto dice: «{0}»",
    "pt": "O contexto diz: «{0}»",
}
JUDGEMENTS = {
    "en": "Counted by rule: answer 1 has {0} characters, answer 2 has {1}; "
    "longer and closer to the question scores higher.",
    "zh": "按规则计分：回答一有{0}个字符，回答二有{1}个字符；更长、更贴近问题者得分更高。",
    "es": "Contado por reglas: la respuesta 1 tiene {0} caracteres, la 2 tiene {1}; "
    "la más larga y cercana a la pregunta puntúa más.",
    "pt": "Contado por regras: a resposta 1 tem {0} caracteres, a 2 tem {1}; "
    "a mais longa e próxima da pergunta pontua mais.",
}
EDU_REASONS = {
    "en": 'The extract is about "{0}". Counted by rule: {1} teaching words, {2} advertising words.',
    "zh": "这段摘录讲的是“{0}”。按规则统计：教学用词{1}个，广告用词{2}个。",
    "es": "El extracto trata de «{0}». Contado por reglas: {1} palabras didácticas y {2} publicitarias.",
    "pt": "O extrato trata de «{0}». Contado por regras: {1} palavras didáticas e {2} publicitárias.",
}
REFUSALS = {
    "en": "I'm sorry, but I can't help with that.",
    "zh": "抱歉，我无法回答这个问题。",
    "es": "Lo siento, pero no puedo ayudar con eso.",
    "pt": "Desculpe, mas não posso ajudar com isso.",
}

TEACHING_STEMS = (
    "estudi ciencia científ histori ejempl teor matemát ejercici enseñ aprend alumn escuela educa definici signific "
    "explic proces energ célula siglo lengua investig métod ensin exempl escola científic século aluno exercíci "
    "student school science scientif example theor mathemat exercise teach learn explain defin means process energy "
    "cell century research method 学习 学生 学校 科学 例如 理论 数学 练习 教学 说明 定义 过程 能量 细胞 世纪 "
    "研究 方法 历史"
).split()
ADVERTISING_STEMS = (
    "compra ofertas precio descuento suscr cookie gratis carrito promoc desconto preço clique assine grátis "
    "discount price click subscribe shipping checkout login 购买 优惠 价格 折扣 点击 订阅 包邮 登录"
).split()
DOMAINS = ("Educación", "Salud", "Legal", "Negocios y Finanzas", "Cultura", "Tecnología")
USE_CASES = ("Tutoría STEM", "Educación Cultural", "Telemedicina", "Comercio electrónico", "Asistencia jurídica")
NO_DOMAIN = "Sin coincidencia"

NOT_MATHS, BAD_GRAMMAR = "这不是一道中文数学题。", "存在语法错误。"
