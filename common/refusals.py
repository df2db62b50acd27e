"""Whether an answer refuses, in English, Chinese, Spanish, Portuguese.

is_refusal("I’m sorry, but I can't help with that.")        # True
is_refusal("Sorry Day is marked each year on 26 May.")      # False
"""

import re

_REFUSAL = re.compile(
    r"[\s\"'“‘*]*(?:"
    r"i(?:['’]?m| am) (?:(?:very|so|really|truly) )?sorry|i apologi[sz]e|my apologies|sorry[,.!]"
    r"|(?:sorry|unfortunately|apologies)\b.{0,20}?\bi (?:can|could|am|['’]?m|do|don['’]t|will|won['’]t)\b"
    r"|i (?:can ?not|can['’]?t|won['’]?t|will not|am not able to|am unable to) "
    r"(?:assist|help(?! but\b)|fulfill?|comply|provide|create|generate|write|answer|continue|do that|engage|support"
    r"|produce)"
    r"|i['’]m (?:not able|unable) to"
    r"|as an? (?:ai|artificial intelligence)(?: (?:language )?model| assistant| chatbot| system)?[,.;:]"
    r"|as an? (?:ai |large )*language model\b|i(?:['’]m| am) an ai (?:assistant|chatbot|language model)\b"
    r"|(?:很|非常|十分)?(?:抱歉|对不起)|(?:作为|身为)一?[个名款]?(?:人工智能|AI)?(?:大?语言模型|助手|模型|[，,])"
    r"|我(?:无法|不能)(?:提供|帮助|协助|回答|满足|完成|生成|创作)"
    r"|(?:lo siento|lo lamento|disculpa|disculpe|perdón)[,.;!]|(?:lo siento|lamento) (?:mucho|pero|no)\b|me disculpo"
    r"|no puedo (?:ayudar|asistir|proporcionar|cumplir|generar)"
    r"|(?:sinto muito|desculpe|desculpa|lamento)[,.;!]|(?:sinto muito|desculpe|lamento) (?:mas|não)\b|peço desculpas"
    r"|não posso (?:ajudar|auxiliar|fornecer|cumprir|gerar)"
    r"|como (?:uma? )?(?:ia|intelig[eê]ncia artificial|modelo de (?:lenguaje|linguagem))\b"
    r")",
    re.I | re.S,
)


def is_refusal(text: str) -> bool:
    return _REFUSAL.match(text) is not None
