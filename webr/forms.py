"""Whether a text has the form that was asked for: the description of a person, or a request. In English, Chinese,
Spanish, Portuguese; of other languages nothing is known, so every text passes.

    is_person("A retired teacher who writes about gardens.", "en")        # True
    is_person("Credit unions must raise interest rates.", "en")           # False: says something about the world
    is_request("List three uses of vinegar.", "en")                       # True
    is_request("Vinegar has three uses.", "en")                           # False: asks for nothing
"""

import re

_OPENING_WORDS = 25  # of a description: by then it has said whom it describes,
_NAME_WORDS = 12  # in so many words at most

# ---------------------------------------------------------------- persons

# Where the description stops to name the person: at a verb, at a word that only goes on, at a comma.
_NAMED_UNTIL = {
    "en": r"\b(?:of|in|on|at|for|from|with|about|to|by|is|are|was|were|has|have|had|must|can|will|would|that|which)\b",
    "es": r"\b(?:de|del|en|con|para|por|que|es|son|era|tiene|sobre|a)\b",
    "pt": r"\b(?:de|do|da|em|no|na|com|para|por|que|é|são|era|tem|sobre|a)\b",
}
_CALLED = {  # "is a ...", after which a description may name the person as well
    "en": r"\b(?:is|are|was|as|am|be|been|['’]m)\s+(?:an?|the|one)\s+",
    "es": r"\b(?:es|son|era|soy|como)\s+(?:un[oa]?s?|el|la)\s+",
    "pt": r"\b(?:é|são|era|sou|como)\s+(?:uma?s?|uns|o|a)\s+",
}
_PERSON = {
    "en": r"\b(?:authors?|writers?|persons?|people|some(?:one|body)|individuals?|experts?|professionals?|\w*fans?"
    r"|members?|friends?|aides?|critics?|scholars?|academics?|executives?|officials?|nurses?|natives?|nationals?|citizens?"
    r"|minds?|profiles?|occupations?|professions?|personas?|backgrounds?|wom[ae]n|m[ae]n|girls?|\w*boys?"
    r"|lad(?:y|ies)|guys?|child(?:ren)?|kids?|teens?|adults?|m[ou]ms?|dads?|husbands?|wi(?:fe|ves)|sons?|couples?"
    r"|famil(?:y|ies)|\w*niece|nephew|coach(?:es)?|chefs?|hosts?|pilots?|cooks?|guides?|monks?|priests?|judges?"
    r"|justice|graduates?|undergraduate|candidates?|advocates?|colleagues?|athletes?|diplomats?|spokes\w+|scouts?"
    r"|associates?|delegates?|representatives?|detectives?|relatives?|geeks?|nerds?|buffs?|gurus?|pros?|clerks?|staff"
    r"|enthusiasts?|alumn\w+|majors?|C[EFTIO]Os?|PhD|mechanics?|\w+mates?|newbie|\w+aires?|figures?|tycoons?|fellows?|veterans?|AI|deity"
    r"|expat\w*|\w*child|\w*backs?|personality|prodig\w+|connoisseurs?|scribes?|fanatics?|institut\w+|platform|architects?|entrepreneurs?|novices?|s[kc]eptics?|millionaires?"
    r"|\w*m[ae]n|principals?|attorneys?|astronauts?|\w*lords?|queens?|kings?|cousins?|pundits?|visionar\w+|dropouts?|\w+herds?|senators?|princ\w+|heads?|chiefs?|vets?|interns?"
    r"|assistants?|apprentices?|conscripts?|recruits?|captains?|sergeants?|colonels?|generals?|spouses?|widow\w*|twins?"
    r"|team|group|office|desk|newsroom|university|museum|association|community|organi[sz]ation|collective|company|firm|agency|business|startup|council|committee|s?he|i"
    r"|(?!exist|list|twist|civilian|artist)\w+(?:ist|ian|yst|eer|wright|smith)s?|artists?"
    r"|(?!(?:number|paper|letter|water|computer|newspaper|power|order|matter|chapter|weather|offer|other|another|over"
    r"|under|after|former|labor|labour|factor|sector|color|colour|error|minor|prior|floor|door|poor|corner|border"
    r"|summer|winter|never|ever|either|whether|together|quarter|counter|recent|current|different|important|their|year"
    r"|percent|content|event|silent|ancient|significant|constant|relevant|instant|restaurant|plant|per|for|or|are)s?\b)"
    r"\w{2,}(?:er|or|ar|ant|(?<!m)ent|ee)s?)\b",
    "es": r"\b(?:autor\w*|escritor\w*|persona\w*|alguien|perfil|experto\w*|profesional\w*|médic[oa]s?|abogad[oa]s?|soy"
    r"|columnista|equipo|\w+(?:ista|or|ora|ero|era|ante|ente|ario|aria|ólog[oa]|ógraf[oa]|ivo|iva|ano|ana|og[oa])s?)\b",
    "pt": r"\b(?:autor\w*|escritor\w*|pessoa\w*|alguém|perfil|profissional\w*|médic[oa]s?|advogad[oa]s?|sou|equipe"
    r"|\w+(?:ista|or|ora|eiro|eira|ante|ente|ário|ária|ólog[oa]|ógraf[oa]|ivo|iva|ano|ana|og[oa])(?:e?s)?)\b",
    "zh": r"作者|笔者|博主|我是|身份|职业|[者师员家客手迷士]|专家|教授|医生|学生|人[，。、士员]"
    r"|[一名位个]{2}|编辑|团队|机构",
}


_MACHINE = re.compile(r"\b(?:is|am|['’]m|as) an (?:AI|artificial intelligence)\b(?! \w+(?:er|or|ist|ian|ant)\b)", re.I)


def is_person(text: str, lang: str) -> bool:
    if lang not in _PERSON:
        return True
    if _MACHINE.search(text):
        return False
    if lang == "zh":
        return re.search(_PERSON["zh"], text[:40]) is not None
    opening = " ".join(text.split()[:_OPENING_WORDS])
    for part in re.split(_CALLED[lang], opening, flags=re.I):
        part = " ".join(part.split()[:_NAME_WORDS])
        named = re.split(rf"{_NAMED_UNTIL[lang]}|[.;:!?](?=\s|$)", part, maxsplit=1, flags=re.I)[0]
        if re.search(_PERSON[lang], named, re.I):
            return True
    return lang == "en" and re.match(r"[^.!?]{2,80}?\bwho(?:se)?\b", opening, re.I) is not None


# ---------------------------------------------------------------- requests

_VERBS = {  # what people tell an assistant to do, at the beginning of a sentence, of a line, or after "and", "then"
    "en": "act add adapt adopt advise analy[sz]e answer appl[yi] arrange ask assess assign assume autocomplete balance"
    " be brainstorm break build calculate capture categori[sz]e change check choose cite clarify classify clean combine"
    " come compar compare compile complete compose compress compute conclude condense conduct consider construct"
    " continue convert convince copy correct count cover craft create criticize critique cut debate debug decide"
    " deduce define delete deliver demonstrate derive describe design detail detect determine develop devise diagnose"
    " differentiate discuss display divide do draft draw edit elaborate emphasi[sz]e encode enumerate establish"
    " estimate evaluate examine expand explain explore express extract extrapolate factor fill filter find finish fix"
    " focus follow form format formulate generate get give group guess handle have help highlight hypothesi[sz]e"
    " identify illustrate imagine implement improve include incorporate indicate infer insert inspect integrate"
    " interpret interview introduce invent investigate judge justify keep label let link list locate look maintain"
    " make map mark match measure mention merge minimi[sz]e mix model modify name narrate negotiate note observe"
    " offer optimi[sz]e order organi[sz]e outline output paint paraphrase parse perform persuade pick place plan plot"
    " point polish pose predict prepare present pretend print prioriti[sz]e produce propose prove provide punctuate"
    " quote rank rate read rearrange reason recall recast recogni[sz]e recommend record reduce refer refine reflect"
    " reformulate rephrase remove rename render reorder reorgani[sz]e repeat replace reply report represent research"
    " resolve respond restructure retell return reverse review revise reword rewrite role-?play round run say score"
    " search select send separate set share shorten show simplify simulate sketch solve sort speak specify spell split"
    " stand start state step strengthen structure study submit substitute suggest sum summari[sz]e supply support"
    " synthesi[sz]e tag take talk teach tell test think trace transcribe transform translate transpose treat try turn"
    " understand update use utili[sz]e validate verify visuali[sz]e walk weave weigh work write condense please kindly",
    "es": "analiza analice añade adapta calcula clasifica combina compara completa compón comprueba conserva"
    " considera construye continúa convierte convierta corrige crea da dame dé define describe desarrolla determina di"
    " dime diseña divide elabora elige encuentra enumera escribe escriba escríbeme evalúa explica explique explícame"
    " extrae genera haz haga hazme identifica imagina incluye indica interpreta investiga justifica lista menciona"
    " mejora modifica muestra nombra ordena organiza planifica prepara prepárame presenta propón proporciona quiero"
    " recomienda redacta redacte reduce reescribe reorganiza resalta responde resume resuma resúmeme revisa selecciona"
    " señala simplifica sugiere toma traduce traduzca transforma transforme usa utiliza necesito quisiera ayúdame"
    " adapte conserve prepare cree me por",
    "pt": "adapte analise apresente calcule classifique combine compare complete componha conserve considere construa"
    " continue converta corrija crie dê defina descreva desenvolva determine diga divida elabore encontre enumere"
    " escolha escreva explique explicite extraia faça forneça gere identifique imagine inclua indique interprete"
    " investigue justifique liste melhore mencione modifique monte mostre nomeie ordene organize planeje prepare"
    " produza proponha quero reduza reescreva reorganize resolva responda ressalte resuma revise selecione sugira"
    " simplifique traduza transforme use utilize preciso gostaria ajude me por",
}
_ASKING = {  # words that ask, wherever they stand
    "en": r"\?|\bplease\b|\b(?:can|could|would|will|is|are|does|do) (?:you|i|we|a|an|the|someone)\b"
    r"|\bi(?:['’]d| would| want| need|['’]m looking)\b|\byou(?:['’]re| are| will| should| must| need)\b"
    r"|\byour (?:task|job|goal)\b|\b(?:should|must|need to) be\b"
    r"|\b(?:help|tell|give|show|teach|notify) (?:me|us)\b"
    r"|(?:^|[.!?:,\n]\s*|\b(?:know|understand|tell|of|on|about|for) )(?:what|how|why|who|when|where|which)\b"
    r"|\blet(?:['’]s| us)\b|:\s*$",
    "es": r"[?¿]|\b(?:por favor|puedes?|podrías?|podría|necesito|quiero|quisiera|me gustaría|tu tarea|ayud\w+)\b",
    "pt": r"\?|\b(?:por favor|pode|poderia|consegue|preciso|quero|gostaria|sua tarefa|ajud\w+)\b",
}
_ASKING_ZH = re.compile(
    r"[?？吗呢]|请|帮|如何|怎[么样]|什么|为何|为什么|哪|谁|多少|几[个种]|是否|能否|能不能|可否|需要|希望|想要|要求|你是|假设|假如"
    r"|(?:^|[\n，。；：、“])\s*(?:给|把|将|用|以|根据|按|从|对|为|在|写|编写|撰写|创[作建]|设计|列[出举]|描述|解释|说明|分析|比较|总结"
    r"|概括|归纳|翻译|改[写编成]|生成|提[供出]|介绍|讨论|计算|判断|分类|回答|推荐|制[作定]|找出|选择|确定|评[估价]|识别|提取|修改"
    r"|简[述化]|阐述|构[建造]|补充|完成|填|告诉|想象|扮演|建议|命名|预测|检[查测]|排[列序]|转换|重[写述新]|缩写|扩展|续写|造|画|证明|求"
    r"|使用|编|输[入出]|去[掉除]|优化|创|删|举|选|找|教|加|添|让|说出|想出|发表|重组|猜|改|实现|区分|深入|定义|概述|运用)"
)
_ANSWERING = {  # how answers begin, and what speaks of the task, and requests do not
    "en": r"(?:sure|certainly|of course|absolutely|thank you|thanks for|i['’]m sorry|i apologi[sz]e|yes|no)[,.!]"
    r"|dear (?!chatgpt|assistant|ai\b)|the author\b|the most likely\b|the (?:request|instruction|question) is\b",
    "es": r"(?:claro|por supuesto|gracias|lo siento|sí|no)[,.!]|estimad[oa]s?\b|querid[oa]s?\b|título:|asunto:"
    r"|el autor\b|la (?:petición|instrucción|pregunta) (?:es|sería)\b",
    "pt": r"(?:claro|com certeza|obrigad[oa]|sinto muito|sim|não)[,.!]|prezad[oa]s?\b|car[oa]s? |título:|assunto:"
    r"|o autor\b|(?:o pedido|a instrução|a pergunta) (?:é|seria)\b",
    "zh": r"(?:当然|好的|没问题|抱歉|对不起|谢谢|感谢)|尊敬的|亲爱的|标题[:：]|主题[:：]|该?作者|最可能的",
}
_TELLING = {
    lang: re.compile(rf"(?:^|[.!?:;,\n\"“(*\-]|\band\b|\bthen\b|\bto\b|\d\))\s*(?:{'|'.join(verbs.split())})\b", re.I)
    for lang, verbs in _VERBS.items()
}


_STATING = {  # how a statement begins; a short text that begins otherwise may be a request in a few words
    "en": r"(?:the|this|these|those|it|its|he|she|they|we|there|in|on|at|as|since|while|although|my|our|their)\b",
    "es": r"(?:el|la|los|las|este|esta|estos|estas|ella|ellos|hay|en|como|desde|aunque|nuestr[oa]s?|su|sus)\b",
    "pt": r"(?:o|a|os|as|este|esta|esse|essa|ele|ela|eles|há|em|no|na|como|desde|embora|noss[oa]s?|seu|sua)\b",
}
SHORT = 20  # words, or characters of Chinese


def is_request(text: str, lang: str) -> bool:
    if lang not in _ANSWERING:
        return True
    text = text.strip(" \n\"'“”*#")
    if re.match(_ANSWERING[lang], text, re.I):
        return False
    if lang == "zh":
        return len(text) < SHORT or _ASKING_ZH.search(text) is not None
    if re.search(_ASKING[lang], text, re.I) or _TELLING[lang].search(text):
        return True
    return len(text.split()) < SHORT and not re.match(_STATING[lang], text, re.I)
