"""What polite sentences that ask to be unsubscribed consist of, beside `unsubscribe_request_words`. Data."""

POLITE = (
    r"\bnon ricevere (?:pi[ùu])\b|\bstop met (?:deze |die |uw |jullie |het )?(?:sturen van )?(?:deze "
    r"|uw )?(?:e ?mails?|mails?|mailen|sturen"
    r"|nieuwsbrie\w+|berichten)\b|لا (?:أريد|اريد|أرغب)(?: في)?(?: تلقي| استلام)? المزيد",
    r"\bme d[ée]n? de baja\b|\bne (?:veux|souhaite|d[ée]sire|veut) plus\b|\bplus (?:de |d )?(?:vos "
    r"|ces )(?:e ?mails?|mails?|newsletters?|messages?)\b",
    r"(?:受信|配信|メール|メルマガ)(?:の|を|は)?希望(?:し(?:ません|ない)|しておりません)|(?:수신|메일)(?:을"
    r"|를)? ?(?:원하지|바라지)|(?:목록|명단)에서 ?(?:삭제|제거|빼)(?!하?지)\S*",
    r"\bnicht mehr (?:bekommen|erhalten|empfangen|beziehen|haben)\b|\bkeine\w* \S+ mehr (?:bekommen|erhalten"
    r"|empfangen)\b",
    r"\bne plus m (?:envoyer|adresser|[ée]crire|contacter|solliciter)\b|\b(?:supprim|retir|enl[eè]v|effac"
    r"|radi)\S* mon (?:adresse|nom"
    r"|e ?mail|mail|compte)\b",
    r"\b(?:retir|tir|exclu|apag|elimin)\S* (?:o )?(?:meu (?:e ?mail|nome|endere[çc]o|contato|contacto)"
    r"|minha conta)\b|\b(?:apag|elimin)\S+ me\b",
    r"\b(?:rimuov|togli|elimin|cancell)\S* (?:il )?(?:mio|nostro) (?:indirizzo|nominativo|nome|contatto|e ?mail)\b",
    r"\b(?:mij|me|mijn (?:e ?mail ?)?(?:adres|gegevens))\b(?: (?:aub|alstublieft|graag|van|uit|de|deze|uw|jullie"
    r"|lijst|mailinglijst"
    r"|verzendlijst|nieuwsbrief|bestand)){0,6} (?:verwijderen|schrappen|halen)\b",
    r"\b(?:inte|ikke) (?:ha|få|have|modtage|motta|ta emot) (?:fler|flere|mer|flera|några)\S* (?:mejl|mails?"
    r"|e ?mails?|e ?post|nyhetsbrev"
    r"|nyhedsbreve|utskick|meddelanden|beskeder)\b",
    r"\bodhl[áa][sš]en\S*|\bvy[řr]a[ďd]\S* m[ěe]\b|\bhapus (?:email|alamat|nama|e ?mail)(?: email)? saya\b|(?:ईमेल"
    r"|मेल)\S*"
    r" (?:प्राप्त करना |पाना |लेना )?नहीं चाह\S*",
    r"(?:把|将|將)我(?:的邮箱|的地址)?从.{0,12}?(?:删除|移除|去掉|移出|剔除)|取消(?:我的|我对|该|此|本)?(?:邮件"
    r"|郵件)?(?:订阅|訂閱)",
    r"\bvill (?:gärna )?avsluta (?:min )?prenumeration\S*|\bwolałbym nie otrzymywać\b|\bnie (?:chcę"
    r"|życzę sobie) (?:dalszych|kolejnych|więcej) \S+",
)
"""Expressions of whole sentences: "would you please not send me any further mails"."""

REMOVALS = (
    r"\b(?:remov(?:e|ing|al)|delet(?:e|ing|ion)|eras(?:e|ing)|strike(?: off)?"
    r"|(?:take|taking|drop) (?:\S+ ){0,6}?(?:off|out|from)|want off)\b",
    # What was done already is no request: "you removed me", "I was taken off".
    r"\b(?<!\bi )(?<!\bwe )(?<!\byou )(?<!\bthey )(?<!\bhave )(?<!\bhas )(?<!\bhad )(?<!\bwas )(?<!\bwere )"
    r"(?<!\bgot )(?:removed|deleted|erased|dropped|struck|taken)\b|\bif you (?:removed|deleted|erased|dropped)\b",
    r"\b(?:(?:ge)?lösch\w*|loesch\w*|entfern\w*|streich\w*|gestrichen|(?:he)?raus ?(?:zu)?nehmen"
    r"|aus (?:\S+ ){1,3}nehmen|austrag\w*"
    r"|ausgetragen|abgemeldet)\b",
    r"\b(?:supprim|retir|radi|enlev|effac|desinscr)\w+|\bray(?:er|ez|é|ée)\b",
    r"\b(?:borr|elimin|quit|saqu|saca|retir|remov(?!ed\b)|exclu|apag|cancell|rimuov|rimoss|rimoz|toglie)\w+|\b(?:tirem"
    r"|tirar|tire)\w*",
    r"\b(?:verwijder|schrap|uitschrijv|usu[nńwp]|wykreśl|skreśl|wypis|odstra|vymaž|smaž|vyřa|poist|fjern|slett?"
    r"|rader|hapus|keluar)\w*",
    r"\b(?:удал(?!ил)|исключ(?!ил)|вычеркн|убрать|убер|отключ|прекрат|останов|видал|вилуч)\w*|\b(?:çıkar|sil"
    r"|kaldır)(?!\w*m[ae]y)\w*",
    r"删除|移除|刪除|去掉|移出|剔除|削除|解除|外し|(?:삭제|제거|빼)(?!하?지)",
)
"""Words for taking somebody from a list. With a word of LISTS and one of OWN in the sentence it is a request."""

OWN = (
    r"\b(?:me|us|my|mine|our|mich|uns|mein\w*|unser\w*|moi|mon|ma|mes|m|nous|notre|nos|mi|mis|meu|minha|mio|mia|miei"
    r"|mij|ons|mijn|onze|mnie|mój|moj\w*|nas|nasz\w*|mě|mne|můj|meg|mig|min|mitt|oss|minut|minä|saya|kami"
    r"|beni|bizi|adresim\w*|меня|мне|мой|мою|моё|нас|мене|мій)\b"
    r"|\b(?:borr|elimin|quít|quit|saqu|sáqu|cancell|rimuov|toglie|remov|retir|exclu|apag|tir)\w*(?:me|nos|mi|ci|armi)\b"
    r"|\bi (?:want off|(?:\S+ ){0,4}be)\b|\bich bitte um\b"
    r"|\b(?:essere|être|ser) (?:rimoss|cancellat|eliminat|retir|exclu|removid)\w+"
    r"|\b(?:отключите|прекратите|остановите)\b"
    r"|我|私|わたし|저|제|나를"
)
"""Words of the first person, and verbs that contain one."""

LISTS = (
    r"\b(?:(?:mailing |e ?mail |mail )?lists?|newsletters?|mailings?|subscriptions?|\w{0,8}verteilers?"
    r"|\w{0,8}listen?|listes?|fichiers?"
    r"|listas?|bolet(?:ín|in|ines)|\w{0,12}lijst|nieuwsbrief|listy|liście|newslettera|listu|seznamu"
    r"|\w{0,10}list(?:an|en|esinden|eden"
    r"|enizden|alta|ái?ról)|maillista\w*|nyhetsbrev\w*|nyhedsbrev\w*|daftar|милинг\w*|рассылк\w*|списк\w*"
    r"|розсилк\w*)\b"
    r"|名单|名單|列表|订阅|訂閱|リスト|メルマガ|配信|목록|명단|구독|뉴스레터"
)
"""Words for what mail is sent to."""
