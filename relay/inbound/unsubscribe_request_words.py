"""The vocabulary of mail that asks to be unsubscribed, beside `relay.mail.unsubscribe_words`. Data.

A request is a sentence that has one of the expressions, and else only words of VOCABULARY. No negation is among them:
"do not unsubscribe me" is no request.
"""

REQUESTS = (
    # English
    r"\bremove (?:me|us|(?:my|our) (?:e ?mail ?)?(?:address(?:es)?|name|e ?mail|account))\b|\bbe removed\b"
    r"|\bremove from (?:(?:this|the|your) )?(?:mailing |e ?mail )?lists?\b|\bdelete (?:me"
    r"|us|my (?:e ?mail ?)?(?:address|name|e ?mail))\b",
    r"\btake (?:me|us|(?:my|our) (?:e ?mail ?)?(?:address|name|e ?mail)) (?:off|out)\b|\bsign me off\b"
    r"|\bleave (?:this|the"
    r"|your) (?:mailing )?list\b",
    r"\b(?:stop|cease|quit) (?:e ?mailing|e ?mail|sending|send|mailing|contacting|contact|spamming|writing)\b",
    r"\b(?:do not|don ?t|never) (?:e ?mail|send|mail|contact|write)\b|\bno (?:more|further|longer) (?:e ?mails?"
    r"|mails?|newsletters?|messages?)\b",
    r"\bno longer (?:wish|want|desire)(?: to (?:receive|get))?\b|\b(?:do not|don ?t) (?:wish|want) (?:to (?:receive"
    r"|get)|(?:any|these|this|your)(?: more)? (?:e ?mails?|mails?|newsletters?|messages?))\b",
    r"\bcancel (?:my |this |the )?(?:subscription|newsletter)\b|\bstop (?:these|this|the|your|all) (?:e ?mails?"
    r"|newsletters?|mails?|messages?)\b",
    # German
    r"\b(?:meld|trag|bestell)(?:e|en|t)?(?: (?:sie|ich|wir|hiermit|mich|uns|bitte|von|vom|aus|ihrem|ihren|dem|der"
    r"|den|ihrer|diesem"
    r"|diesen|newsletter|verteiler|liste"
    r"|mailingliste|umgehend|sofort)){1,7} (?:ab|aus)\b",
    r"\b(?:nehm|streich|l[öo]sch|entfern)(?:e|en|t)? sie (?:bitte )?(?:mich|uns"
    r"|meine (?:(?:e ?mail ?)?adresse|daten))\b(?: bitte)?",
    r"\b(?:aus (?:dem|ihrem) (?:e ?mail ?)?verteiler|von (?:der|ihrer) liste) (?:nehmen|entfernen|löschen"
    r"|streichen)\b",
    r"\bkeine(?:n)?(?: weiteren?)? (?:e ?mails?|mails?|newsletter|nachrichten|werbung"
    r"|post)\b(?: mehr)?(?: (?:schicken|senden|zusenden))?|\b(?:nichts|nicht) mehr (?:schicken|senden|zusenden)\b",
    r"\bk[üu]e?ndig\S*(?: ich| wir| hiermit){0,2} (?:den|das|mein\S*|unser\S*|ihren) (?:newsletter|abo\S*)\b",
    # French
    r"\bstop (?:à )?(?:la |aux |vos )?(?:pubs?|publicit[ée]s?|spams?)\b",
    r"\b(?:supprim|retir|enl[eè]v|rayer?)\S* (?:moi|mon (?:adresse|nom|e ?mail|mail)|mes coordonn[ée]es)\b",
    r"\bne plus (?:rien )?recevoir\b|\bne m (?:envoy|[ée]cri)\S* plus\b|\bme retirer\b|\bplus (?:de "
    r"|d )(?:e ?mails?|mails?"
    r"|newsletters?|messages?)\b|\bne (?:veux|souhaite|d[ée]sire) plus (?:rien )?recevoir\b",
    r"\barr[êe]t\S* (?:de m ?|de me )?(?:envoyer|[ée]crire|vos (?:mails?|e ?mails?)|ces (?:mails?|e ?mails?)"
    r"|les (?:mails?|e ?mails?))",
    # Spanish
    r"\b(?:b[óo]rr|elim[íi]n|qu[íi]t|s[áa]qu)\S*(?:me|nme) de\b|\b(?:elimin|borr)\S* mi (?:correo|direcci[óo]n"
    r"|e ?mail)\b",
    r"\bno (?:me )?(?:env[íi]en?s?|mand[ea]n?s?|escrib[ae]n?s?)(?: m[áa]s)?\b|\bno (?:quiero"
    r"|deseo) (?:recibir )?m[áa]s\b|\bno (?:quiero|deseo) recibir\b|\bdej\S+ de (?:enviar|mandar|escribir)\S*",
    # Portuguese
    r"\bremov(?!ed\b)\S+ (?:me|(?:o )?meu (?:e ?mail|nome|endere[çc]o))\b|\bme (?:remov|tir|retir|exclu)\S+\b"
    r"|\b(?:tir|retir|exclu)\S+ me\b",
    r"\bn[ãa]o (?:quero|desejo) (?:mais )?receber(?: mais)?\b|\bn[ãa]o (?:me )?(?:envie|mande)m?(?: mais)?\b"
    r"|\bpare?m? de (?:me )?(?:enviar|mandar)\b|\bsair d[ae] (?:sua )?lista\b",
    # Italian
    r"\bbasta (?:e ?mail|mail|newsletter)\b|\bcancell(?:ami|atemi|armi|arsi)\b|\b(?:rimuov|togli|elimin)\S*(?:mi"
    r"|temi|emi)\b"
    r"|\bcancell\S* (?:il )?mio (?:indirizzo|nominativo)\b",
    r"\bnon (?:desidero|voglio|intendo) (?:pi[ùu] )?ricevere(?: pi[ùu])?\b|\bnon (?:inviate|mandate"
    r"|scrivete)\S*mi(?: pi[ùu])?\b|\bsmett\S+ di (?:inviar|mandar|scriver)mi\b",
    # Dutch
    r"\bschrijf (?:mij|me)(?: (?:aub|alstublieft|graag|van|voor|uit|de|deze|uw|nieuwsbrief|mailinglijst)){0,6} uit\b",
    r"\bmeld (?:mij|me)(?: (?:aub|alstublieft|graag|van|voor|de|deze|uw|nieuwsbrief|mailinglijst)){0,6} af\b",
    r"\b(?:verwijder|haal|schrap) (?:mij|me|mijn (?:e ?mail ?)?(?:adres|naam))\b|\bgeen (?:e ?mails?|mails?"
    r"|nieuwsbrie(?:f|ven)|berichten)(?: meer)?\b",
    # Polish
    r"\bmnie usun\S+|\bo usuni[ęe]cie (?:mnie|mojego (?:adresu|maila))\b",
    r"\bnie chc[ęe] (?:ju[żz] |wi[ęe]cej )?otrzymywa[ćc]\b",
    r"\busu[nńwp]\S* mnie\b|\busu[nń]\S* m[oó]j (?:adres|e ?mail|mail)\b|\bo? ?nie (?:wysy[łl]a"
    r"|przysy[łl]a)\S*(?: mi)?(?: wi[ęe]cej)?(?: mi)?",
    # Russian
    r"(?:удалите|уберите|исключите|вычеркните|удалить|убрать) (?:пожалуйста )?(?:меня|мой (?:адрес|e ?mail|имейл"
    r"|емейл))",
    r"(?:больше )?не (?:присылайте|шлите|отправляйте|пишите|присылать|беспокойте)(?: мне)?(?: больше)?"
    r"|прекратите (?:рассылку|присылать|слать|отправлять)|отказ\S* от рассылки|не хочу (?:больше )?получать",
    # Turkish
    r"\blisteden (?:çıkar|sil|ayrıl|çık)(?!\w*m[ae]y)\S*|\b(?:e ?posta(?:lar[ıi])?|mail(?:ler[ıi])?"
    r"|mesaj(?:lar[ıi])?)"
    r" (?:almak )?istemiyorum\b|"
    r"\b(?:beni|adresimi|mailimi) (?:\S+ ){0,3}(?:çıkar|sil|kaldır)(?!\w*m[ae]y)\S*|\b(?:artık "
    r"|bir daha )?(?:bana )?(?:e ?posta"
    r"|mail|mesaj) (?:gönderme|atma)\S*|\b(?:e ?posta|mail) almak istemiyorum|\bçıkmak istiyorum\b",
    # Chinese, Japanese, Korean
    r"(?:不要|别|勿|停止|不想|不再)(?:再|继续)?(?:给我|向我)?(?:发送|发|寄送|寄|發送|發|接收|收到?)|(?:移除"
    r"|删除|刪除)我|把我从.{0,12}?(?:删除|移除|去掉)|把我從.{0,12}?(?:刪除|移除)|(?:不要|别|勿|請勿|请勿)再?(?:发"
    r"|發|寄)",
    r"(?:メール|メルマガ)?(?:は|を|も)?もう(?:いりません|要りません|結構です)|(?:メール|メルマガ)(?:は|を"
    r"|も)?(?:もう)?(?:送らないで|不要|いりません|停止|止めて|やめて)|送(?:ら"
    r"|信し)ないで|リストから(?:外し|削除|除外)|登録(?:の|を)?削除|解約",
    r"(?:메일|이메일|뉴스레터)(?:을|를)? ?(?:그만|보내지|받지)|그만 ?보내\S*|수신 ?(?:취소|해지|원하지)",
    # Arabic, Hindi, Indonesian, others
    r"(?:الرجاء |يرجى )?[إا]زالت[يى]|[أا]وقف(?:وا)? (?:ال)?رسائل|(?:لا|عدم) (?:ترسل\S*|إرسال|ارسال)|(?:[أا]زيل|احذف"
    r"|[أا]زل)\S*ني|(?:ईमेल|मेल) (?:मत भेज|न भेज|भेजना बंद)\S*",
    r"\btöröl(?:je|jön|jenek|jetek|d)\b|\bm[ăa] (?:dezabona|[șs]terge)\S+\b|διαγρ(?:άψτε|άψετε)(?: με)?",
    r"(?:सूची|लिस्ट) से (?:हटा|निकाल)\S*|(?:তালিকা|লিস্ট) থেকে (?:বাদ|সরি\S+|মুছে)|(?:ই ?মেইল|মেইল"
    r"|মেসেজ) (?:পাঠাবেন না"
    r"|পাঠানো বন্ধ)|(?:فہرست|لسٹ) سے (?:نکال|ہٹا)\S*|ای ?میل (?:نہ|مت) بھیج\S*",
    r"\b(?:berhenti|stop) (?:mengirim|kirim)\S*|\bwyrejestr\S+",
    r"\bjangan (?:kirim|mengirim)\S*(?: lagi)?|\b(?:hapus|keluarkan) saya\b|\bta bort mig\b|\bslet mig\b"
    r"|\bpoista(?:kaa)? minut\b|\bszedjenek le\b|\bngừng gửi\b|הסירו אותי|תסירו אותי|להסיר אותי",
)
"""Expressions that ask a sender for no more mail. A link does not say them."""

REASONS = (
    r"\bthis is (?:my|the) (?:second|third|fourth|last|final|2nd|3rd)(?: and last)? (?:request|time|mail|e ?mail)\b"
    r"|\bi (?:have )?(?:already )?asked (?:you )?(?:before|twice|already|several times|three times)\b"
    r"|\b(?:i am |i m |we are )?no longer interested\b|\b(?:ich bin |wir sind )?nicht (?:mehr "
    r"|länger )?interessiert\b"
    r"|\b(?:je ne suis |ça ne m )?plus intéress\w+\b|\bya no me interesa\b|\bn[ãa]o tenho mais interesse\b"
    r"|\bnon (?:sono|mi) più interess\w+\b|\bniet (?:meer|langer) geïnteresseerd\b|\bбольше не интерес\w+\b"
    r"|\bno thanks\b|\bno thank you\b|\b(?:i ?m |i am |we are )?not interested(?: anymore| any more)?\b"
    r"|\b(?:ich habe |wir haben )?kein interesse(?: mehr)?\b|\bnein danke\b|\b(?:je ne suis )?pas int[ée]ress[ée]e?\b"
    r"|\bnon merci\b|\bno (?:estoy|me) interes\S+\b|\bno gracias\b|\bn[ãa]o (?:tenho interesse|estou interessad\S)\b"
    r"|\bn[ãa]o obrigad[oa]\b|\bnon (?:sono|mi) interess\S+\b|\bno grazie\b|\bgeen interesse\b|\bnie dziękuję\b"
    r"|\bне интересно\b|不感兴趣|没兴趣|興味(?:が)?(?:ありません|ない)|관심 ?없\S*"
)
"""Reasons that may stand beside a request in one sentence. Alone they ask for nothing."""

_SINGLE_WORDS = """
    stop stopall stopp cancel end quit leave signoff remove revoke optout baja alto parar pare parem basta eliminar
    salir cancelar sair
    remover chega arrêt arret arrêter arreter arrêtez arretez supprimer annuler cancella cancellare cancellazione
    rimuovi annulla stoppen
    opzeggen verwijderen kündigen kuendigen aufhören löschen austragen koniec usuń rezygnuję стоп отмена
    хватит прекратите удалить удалите dur dừng hentikan
    durdur iptal ret çık berhenti keluar avsluta slutt lopeta konec zrušit stoppa
    διαγραφή διαγραφη הסר הסרה להסרה ยกเลิก พอ
    停止 取消 不要 解除 中止 중지 취소 해지 거부 توقف إيقاف ايقاف أوقف إلغاء الغاء قف बंद रोकें रोको स्टॉप বন্ধ 不需要 그만
"""

SINGLE_WORDS = frozenset(_SINGLE_WORDS.split())
"""Words that ask for it if they are all that was written in answer to campaign mail."""

_VOCABULARY = """
    files file records data base would possible if so kind appreciate grateful being been
    wünschen wünsche dessa desta dessas te вашего вашей meg oss
    wir unser unsere
    senden schicken zusenden an so freundlich sein seien würden wären damen herren um kann können liebes
    ruego que les rogamos prie priez souhaite aimerais sarebbe possibile essere chiedo prego cortesia
    будьте добры edin ediniz lütfen mısınız misiniz rica ederim
    könnten können könnte kann ihre ihres datenbank daten kundenkartei
    fichier fichiers base bases données pouvoir pourrais puissiez adresser message messages mailings
    base datos registros podrían podría pueden puede
    vossa vosso vossas vossos seu seus sua suas base dados favor poderiam poderia podem pode mails
    prego potete potreste vogliate base dati newsletter mailing
    kunt kunnen kan wilt zou bestand verzendlijst
    bazy bazie danych czy mogą mogliby państwo bardzo
    базы базу данных могли вы бы
    vänligen maillista mejllista mejl mejlen utskick utskicken er gerne vil nyhedsbrev nyhedsbrevet mailliste
    mailingliste
    nyhetsbrev gärna kan ni du fra jeres
    vui lòng cho khỏi danh sách ole hyvä ja sähköpostilistalta o z odběru databáze zasílání listu
    alamat dari daftar aku और अब
    please pls plz kindly hi hello hey dear thanks thank thx you yours your i we im am id d would like to want
    wish can could will be me my mine us our from off of out this that these the all any every further future
    mailing mail mails list lists newsletter newsletters email emails e message messages subscription
    subscriptions address addresses name immediately now asap today again anymore more longer just hereby
    request and it them at for in on database marketing promotional promotions sir madam team receiving receive
    get getting with effect
    bitte bitten danke vielen dank hallo guten tag ich möchte moechte will wünsche wuensche hiermit mich mir uns
    sie ihren ihrem ihrer ihr diesen diesem dieser den dem der die das vom von aus ab newsletters verteiler
    emailverteiler mailverteiler liste mailingliste meine meinen adresse umgehend sofort mehr heraus raus werden
    erhalten bekommen empfangen kriegen werbung eurem eurer euren euch
    weitere weiteren und auch künftig künftige abonnement abo zu per mit
    s il vous plaît plait svp merci bonjour madame monsieur de du des la le les l vos votre nos listes ma mon mes m
    moi je
    j souhaite souhaiterais voudrais veux désire désirerais demande bien vouloir être etre pouvez pourriez
    veuillez à cette ce ces liste diffusion lettre information infos courriel courriels abonnement pub publicité
    publicités et immédiatement maintenant recevoir me d se plus
    por favor hola quiero quisiera deseo solicito ruego pido mi del el los las su sus esta este estos lista
    listas boletín boletin boletines correo correos electrónico electronico mensajes suscripción suscripcion en
    para a que gracias más mas ya ahora inmediatamente gustaría ser y cuenta dirección direccion le les
    publicidad nos recibir muchas
    olá ola quero gostaria desejo minha meu meus da do das dos o os as esta essa este endereço endereco mensagens
    obrigado obrigada imediatamente agora pelo pela queria peço solicito receber
    per favore vi vostre buongiorno salve grazie vorrei voglio desidero chiedo mio mia miei dalla dal della dei vostra
    vostro vostri questa questo queste lista indirizzo messaggi iscrizione subito di il lo gli un una essere più
    piu ricevere cortesemente gentilmente
    graag aub alstublieft alsjeblieft bedankt dank hallo ik wil zou willen mij van voor uit uw jullie deze dit
    de het een nieuwsbrief nieuwsbrieven mailinglijst lijst adres mailadres emailadres direct onmiddellijk nu
    meer ontvangen worden en u je gelieve verzoek hierbij wij ons
    proszę prosze dzień dobry dziękuję dziekuje chcę chce chciałbym chciałabym mnie mi mój moj z ze od listy
    lista mailingowej newslettera newsletter państwa subskrypcji adres mailowy więcej wiecej natychmiast o się
    sie i na wiadomości wiadomosci maili emaili e-maili już juz od państwa newslettery
    пожалуйста здравствуйте спасибо прошу хочу хотел хотела бы я меня мне мой от из с вашей вашу ваши этой этого
    рассылки рассылку рассылка списка писем письма подписки подписку почты электронной новостей и немедленно
    сейчас больше на всех
    lütfen merhaba teşekkürler teşekkür ederim istiyorum beni bana bu listeden listenizden bültenden
    bülteninizden artık mail hemen ve benim posta listesinden
    من فضلك رجاء رجاءً الرجاء يرجى أريد اريد أرغب ارغب في القائمة البريدية قائمتكم قائمة الرسائل البريد النشرة
    الإلكترونية شكرا شكراً لي المزيد هذه أنا ان أن
    कृपया मुझे मेरा मेरी इस सूची से को करें कर दें धन्यवाद मैं चाहता चाहती हूँ हूं की न्यूज़लेटर ईमेल मेल मेलिंग
    लिस्ट आपकी
    tolong mohon saya ingin mau dari daftar email milis buletin terima kasih ini anda
    tack snälla mig jag vill från er era denna lista nyhetsbrev nyhetsbrevet tak venligst fra jeres takk vennligst
    jeg ønsker ta bort
    děkuji prosím mě z odběru newsletteru kérem köszönöm a hírlevélről mulțumesc vă rog de la kiitos
    listan listen nyhetsbrevlistan listalta postituslistalta listáról engem levelezési listából să mă lista
    dumneavoastră
    παρακαλώ παρακαλω από απο τη λίστα λιστα σας ευχαριστώ
    দয়া করে আমাকে আমার এই করুন করো দিন আর কোনো ধন্যবাদ براہ کرم مجھے میرا اس کریں دیں شکریہ آپ کی
    हटा हटाएं हटाइए दो करो xin tôi أرجو ارجو
    будь ласка мене від розсилки розсилку вашої
"""

VOCABULARY = frozenset(_VOCABULARY.split())
"""Words that may stand beside a request."""

CJK_FILLERS = (
    r"请|請|麻烦|麻煩|帮|幫|我们|我們|我|想|要|谢谢|謝謝|了|吧|您们|您|你们|你|的|邮件列表|邮件|郵件|电子|電子"
    r"|从|從|给|給|再|将|將|把|本|此|该"
    r"|这个|這個|这些|地址|名单|名單|列表|订阅|訂閱|邮箱|信箱|并|任何|垃圾|信息|广告|廣告|到|会|以后|今后|你好|您好"
    r"|もう|を|の|は|に|も|お願い(?:いた|致)?し?ます|お願い|ください|下さい|しています|して|します|したい|です|ます"
    r"|希望|メールマガジン|メルマガ|メール|ニュースレター"
    r"|今後|もう|この|貴社|御社|から|と|ありがとう(?:ございます)?|よろしく|宜しく|すぐに?|至急|手続き?|申請"
    r"|たい|で|ん|いただけますか|いただきたい|頂きたい"
    r"|か|思います|思って|い|ます|私|リスト|ませ|さい|送って|こないで"
    r"|해 ?주세요|해 ?주십시오|부탁 ?(?:드립|합)니다|합니다|하고 ?싶습니다|싶습니다|원합니다|신청|요청|제발"
    r"|감사합니다|안녕하세요|뉴스레터|이메일|메일|을|를|은|는|에서|저를"
    r"|앞으로는?|저희|제|더 ?이상|말아 ?주세요|마세요|주세요|바랍니다|않습니다"
)
"""Words of languages without blanks that may stand beside a request."""

GREETINGS = (
    r"hi|hello|hey|hallo|good day|bonjour|tere|sveiki|labas|dober dan|dobar dan|bok|zdravo|ahoj|góðan dag|kia ora"
    r"|hola|ol[áa]|dear|good (?:morning|day|afternoon|evening)|greetings|to whom it may concern"
    r"|guten (?:tag|morgen|abend)"
    r"|sehr geehrte\S*|liebe[rs]?|moin|bonjour|bonsoir|salut|madame|monsieur|buen[oa]s (?:d[íi]as|tardes|noches)"
    r"|estimad\S+|bom dia|boa (?:tarde|noite)"
    r"|prezad\S+|ciao|buongiorno|buonasera|salve|gentil\S+|goede(?:morgen|ndag|middag|navond)|beste|geachte"
    r"|cze[śs][ćc]|dzie[ńn] dobry|witam"
    r"|szanown\S+|здравствуйте|добрый (?:день|вечер)|доброе утро|привет|уважаем\S+|merhaba|selam|sayın|你好"
    r"|您好|こんにちは|お世話になっ\S*|いつもお世話\S*|突然\S*失礼\S*|担当者様|ご担当者様"
    r"|안녕하세요|مرحبا|السلام عليكم"
    r"|नमस्ते|halo|selamat \S+|hej|hei|ahoj|dobrý den|szia|bună ziua|bună"
)
"""Words with which a greeting begins."""

CLOSINGS = (
    r"thanks?(?: you)?(?: very much| so much)?|thank you(?: very much| so much)?|many thanks|thx|cheers|(?:(?:best"
    r"|kind|warm|kindest) )?regards|best wishes"
    r"|best|sincerely(?: yours)?|yours (?:sincerely|faithfully|truly)|danke(?: sch[öo]n| sehr)?|vielen dank"
    r"|besten dank|mfg|lg|vg|vlg"
    r"|(?:mit )?(?:freundlich|viel|best|lieb|herzlich|schön)e[nrm]? gr[üu](?:ß|ss)e?n?|gr[üu](?:ß|ss)e?"
    r"|merci(?: beaucoup| d avance)?|cordialement|bien à vous|salutations"
    r"|bonne journée|(?:muchas )?gracias|(?:un )?saludos?|atentamente|cordialmente|(?:muito )?obrigad[oa]"
    r"|atenciosamente|(?:com os melhores )?cumprimentos|abraços?"
    r"|(?:mille )?grazie(?: mille)?|(?:cordiali |distinti )?saluti|(?:alvast )?bedankt|dank (?:u|je)(?: wel)?"
    r"|(?:met )?vriendelijke groet(?:en)?|groet(?:en|jes)?|mvg"
    r"|dzi[ęe]kuj[ęe]|(?:serdecznie )?pozdrawiam|z poważaniem|спасибо|с уважением|благодарю|заранее спасибо"
    r"|teşekkür\S*(?: ederim)?|saygılar\S*|谢谢|謝謝"
    r"|ありがとう\S*|よろしくお願い\S*|宜しくお願い\S*|감사합니다|고맙습니다|شكر[اً]*|धन्यवाद|terima kasih|tack"
    r"|takk|tak|kiitos|děkuji|köszönöm"
    r"|mulțumesc"
)
"""Words with which the end of a mail begins."""

DEVICE_LINE = (
    r"sent (?:from|with|via|using) .{1,60}|get outlook .{1,60}|(?:von meinem .{1,40} )?gesendet\b.{0,60}"
    r"|diese nachricht wurde von .{1,60}|envoy[ée] (?:de|depuis|à partir) .{1,60}"
    r"|enviado (?:desde|do|de|pelo) .{1,60}|inviato (?:da|con) .{1,60}|verzonden (?:vanaf|met|via) .{1,60}"
    r"|wys[łl]ane? z .{1,60}|отправлено (?:с|из) .{1,60}|skickat från .{1,60}|sendt fra .{1,60}"
    r"|i?phoneから送信|.{0,20}から送信|发自我的.{1,20}|發自我的.{1,20}|나의 .{1,20}에서 보냄|.{1,20} gönderildi"
    r"|dikirim dari .{1,60}"
)
"""Lines that mail programs of telephones add."""
