"""Words that mean "unsubscribe", for links that say so and for mail that asks for it. Data.

The expressions are for text in lower case, with one blank between words and without punctuation inside.
"""

import re

UNSUBSCRIBE = (
    # English
    # The second expression is for the usual slips: "unsuscribe", "unsubcribe", "unsubscirbe".
    r"un ?subscri(?:b(?:e|ed|ing|es)|ption)|\bun ?sub?s?c?r?ir?be?\b|\bunsub\b|\bopt(?:ing|ed)?(?: me)? ?out\b",
    # Chinese
    r"退订|退訂|取消(?:订阅|訂閱|訂阅|关注)|停止(?:订阅|訂閱)",
    # Hindi
    r"(?:सदस्यता|सब्सक्रिप्शन) (?:समाप्त|रद्द|बंद|छोड़)|[अआ]नसब्सक्राइब",
    # Spanish
    r"\bdar(?:me|te|se|nos)? de baja\b|\bd[ée]n?me de baja\b|\bbaja (?:del? |de la )?(?:bolet[íi]n|lista|newsletter"
    r"|suscripci[óo]n)"
    r"|\bdes(?:in|u|ub)scri(?!pt)\S+|\b(?:cancel|anul)\S* (?:(?:la|mi|tu|su|esta) )?su[bs]{1,2}cripci[óo]n",
    # French
    r"\bd[ée]s?[ -]?inscri\S+|\bd[ée]sabonn\S+|\bdesabonn\S+",
    # Arabic
    r"(?:إلغاء|الغاء|ألغ\S*|الغ) (?:ال)?[اإ]شتراك\S*",
    # Bengali, Urdu
    r"আনসাবস্ক্রাইব|[اأ]ن ?سبسکرائب|رکنیت (?:ختم|منسوخ)|(?:সাবস্ক্রিপশন|সদস্যতা) (?:বাতিল|বন্ধ)",
    # Portuguese
    r"\bdescadastr\S+|\bsair da (?:lista|newsletter)|\bdesinscrev\S+|\b(?:cancel|anul)\S* (?:(?:a|minha|sua|esta"
    r"|essa) ){0,2}(?:inscri[çc][ãa]o"
    r"|subscri[çc][ãa]o|assinatura)",
    # Russian, Ukrainian
    r"\bотпи[сш]\S*|\bотмен\S* подписк\S+|\bвідпис\S*",
    # Japanese
    r"(?:配信|送信)(?:の|を)?(?:停止|解除|中止|ストップ|不要|止めて|やめて)"
    r"|(?:メルマガ|メールマガジン)(?:の|を)?(?:解除|退会)|[購购][読读](?:の|を)?(?:解除|停止|中止|キャンセル)|登録(?:の|を)?(?:解除|抹消)|退会",
    # German
    r"\bab(?:zu)?meld(?:en|ung|e)\b|\bab(?:zu)?bestell(?:en|ung|e)\b|\baus(?:zu)?tragen\b|\b(?:newsletter|abo"
    r"|abonnement) k[üu]ndigen",
    # Italian
    r"\bdisiscri\S+|\b(?:cancell|annull|rimuov)\S* (?:(?:la|l|mia|tua) ?){0,2}(?:iscrizione|sottoscrizione)",
    # Dutch
    r"\buit ?schrij(?:f|ven|ving)\b|\buit te schrijven\b|\bafmeld(?:en|ing)\b|\baf te melden\b",
    # Polish
    r"\bwypis(?:z|a[ćc]|uj[ęe]|anie)\b|\b(?:z?rezygn(?:uj|owa)\S*)|\brezygnacja\b|\banuluj\S* (?:\S+ )?subskrypcj\S+",
    # Turkish
    r"\b(?:üyeli|aboneli)[kğ]\S* (?:\S+ )?(?:çık|iptal|ayrıl|sonlandır)\S*",
    # Korean
    r"수신(?:을|를)? ?거부|구독(?:을|를)? ?(?:취소|해지|해제|중단)",
    # Indonesian, Vietnamese, Thai
    r"\bberhenti (?:ber)?langganan|\bhủy đăng ký|ยกเลิก(?:การ)?(?:รับ|สมัคร|ติดตาม|เป็นสมาชิก)(?:ข่าวสาร|อีเมล"
    r"|จดหมายข่าว)?",
    # Swedish, Danish, Norwegian, Finnish
    r"\bavregistrer\S*|\bavprenumerer\S*|\bavsluta (?:min )?prenumeration\S*|\bav ?meld\S*|\b(?:af|fra)meld\S*"
    r"|\bmeld (?:meg|mig) (?:av|fra)\b"
    r"|\bperu(?:uta|ta) (?:\S+ )?tilau\S+|\blopeta tilaus",
    # Czech, Slovak, Hungarian, Romanian, Greek, Hebrew
    r"\bodhl[áa]si[tť]\b|\bodhlaste\b|\bleiratkoz\S+|\bdezabon\S+|απεγγραφή|διαγραφή από|הסר(?:ה|ת)? מ(?:ה)?רשימ\S+"
    r"|ביטול (?:ה)?(?:הרשמה|מנוי)",
)
"""Expressions by language: any of them in a short text says that it is about unsubscribing."""

SAYS_UNSUBSCRIBE = re.compile("|".join(UNSUBSCRIBE))
