"""Words that names of columns and tables are made of, in seven languages, by what they speak of.

For: data. Words are lower case, without accents, in the singular where the plural only adds an `s`.
Not for: rules; `names` decides what a combination of words means.
Languages: English, German, French, Spanish, Italian, Dutch, Portuguese, and abbreviations common in databases.
Source: masking.md section 4; own compilation.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


EMAIL = _words("email mail courriel correo epost emailaddress mel emailadresse")

PHONE = _words("""
    phone telephone tel telefon telefono telefone telefoon mobile mobil mobiel mob cell cellphone cellular celular cellulare
    handy fax gsm msisdn whatsapp telno telnr phoneno landline rufnummer festnetz movil telemovel pager telefonnummer fon
    mobilnummer mobiltelefon telefax ddi
""")

ADDRESS = _words("""
    address addr adresse anschrift direccion indirizzo endereco morada adres street strasse straat rue calle rua postal zip
    zipcode postcode plz postleitzahl cep codepostal domicile domicilio wohnort wohnadresse residence hausnummer huisnummer
    apartment apt addressline hausnr lieferadresse rechnungsadresse postadresse postbus woonplaats logradouro bairro
    strassenname strassen postanschrift lieferanschrift civico
""")
POSTAL = _words("zip zipcode postal postcode plz postleitzahl cep codepostal")
ADDRESS_IN_CONTEXT = _words(
    "cp cap str via line line1 line2 line3 ort unit suite pobox flat building viale piazza huisnr nr"
)

GIVEN_NAME = _words("""
    firstname lastname fname lname mname surname forename vorname nachname familienname zuname prenom apellido apellidos
    cognome sobrenome apelido voornaam achternaam tussenvoegsel patronymic nickname fullname middlename givenname maidenname
    username login benutzername initial initials voorletters roepnaam rufname geburtsname surnom spitzname familyname
    primeiro_nome imie nazwisko fornavn etternavn fornamn efternamn screenname loginname
""")
NAME = _words("name nom nombre nome naam navn namn nm bezeichnung naem")
NAME_PART = _words("""
    first last given family middle maiden full sur fore nick birth preferred legal second known formal christian native vor
    nach familie famille primer segundo primo secondo primeiro ultimo ultimate real
""")

BIRTH = _words("""
    dob birth birthday birthdate born geburt geburtsdatum geburtstag geb gebdatum naissance nacimiento fnac fecnac nascita
    nascimento geboortedatum geboren geboorte dateofbirth bday birthyear ddn dtnasc nato
""")
PLACE = _words(
    "place ort lieu lugar luogo plaats local town city ville ciudad citta cidade stad stadt country land pays"
)

NATIONAL_ID = _words("""
    ssn sin nin nino passport passnummer reisepass personalausweis ausweis ausweisnummer taxid tin steuernummer steuerid nif
    nie dni curp rfc cpf rg bsn insee nir sozialversicherungsnummer svnr rvnr versichertennummer pesel personnummer cedula
    fuehrerschein fuhrerschein passeport pasaporte passaporto paspoort passaporte aadhaar nhs mrn kvnr svnummer sozialversicherung
    burgerservicenummer codicefiscale kennzeichen numberplate medicare socialsecurity nationalid cnp oib egn amka steueridnr
    rentenversicherungsnummer krankenversicherungsnummer identifikationsnummer personalausweisnummer
""")
NATIONAL_ID_PAIRS: tuple[frozenset[str], ...] = tuple(
    _words(pair)
    for pair in (
        "social security", "national id", "national number", "national identifier", "tax id", "tax number", "tax identifier",
        "identity number", "identity card", "id card", "id number", "driver license", "driver licence", "driving license",
        "driving licence", "licence number", "license number", "license plate", "plate number", "codice fiscale",
        "securite sociale", "numero secu", "seguridad social", "numero identificacion", "numero fiscal", "medical record",
        "insurance number", "steuer nummer", "steuer id", "versicherung nummer", "citizen id", "government id", "voter id",
        "patente guida", "carta identita", "carte identite", "permis conduire", "health number", "patient number",
        "licencia conducir", "document number", "numero documento", "rijbewijs nummer", "social insurance", "civil id",
        "residence permit", "visa number", "titre sejour", "pass nummer", "identification number",
    )
)  # fmt: skip

CARD = _words("""
    card cc ccnum creditcard creditcardnumber cardnumber cardno cardnum pan ccnumber kreditkarte kreditkartennummer tarjeta
    cartao creditkarte kartennummer kartennr carte_bancaire debitcard kaartnummer creditcardnr
""")
CARD_PAIRS: tuple[frozenset[str], ...] = (
    _words("carte bancaire"), _words("carte credit"), _words("carte numero"), _words("carta credito"),
    _words("carta numero"), _words("carte bleue"), _words("karte nummer"), _words("last4 card"),
)  # fmt: skip
NO_CARD = _words("board sim sd graphic video deck game memory flash score report business punch time gift")

IBAN = _words(
    "iban bban rib kontonummer kontonr kto ktonr rekeningnummer bankaccount accountnumber kontoverbindung clabe"
)
ACCOUNT = _words("account acct konto compte cuenta conto conta rekening bank bancaire bancaria bancario")
NUMBER = _words("number no nr num nummer numero number numer nro n numeros numbers")

SALARY = _words("""
    salary wage income gehalt lohn einkommen verguetung vergutung salaire remuneration remuneracion salario sueldo nomina
    stipendio reddito retribuzione salaris loon inkomen ordenado vencimento renda compensation payroll bonus earnings
    jahresgehalt grundgehalt nettolohn bruttolohn paycheck payrate honorar
""")
BALANCE = _words("balance saldo solde kontostand debt networth creditlimit creditscore guthaben schulden")

IP = _words("ip ipaddr ipaddress ipv4 ipv6 remoteaddr clientip ipadresse userip")
MAC = _words("mac macaddr macaddress imei imsi udid")
LATITUDE = _words("""
    lat latitude breitengrad latitud latitudine breedtegraad lng lon longitude laengengrad langengrad longitud longitudine
    lengtegraad coordinate coord geo geom gps geolocation geopoint latlng latlon koordinaten coordenadas coordinate
    coordonnees coordinaten geometry geohash
""")

HEALTH = _words("""
    diagnosis diagnoses icd icd9 icd10 icd11 diagnose diagnostic diagnostico diagnosi disease medication prescription allergy
    blutgruppe medical symptom snomed loinc befund krankheit maladie enfermedad malattia doenca ziekte hiv disability allergie
    allergien bloodtype bloodgroup allergia alergia medikament medicament medicamento farmaco comorbidity pathology illness
    behinderung handicap pregnancy vaccination impfung dosage anamnese anamnesis diagnosen schwangerschaft
""")
HEALTH_PAIRS: tuple[frozenset[str], ...] = (
    _words("blood type"), _words("blood group"), _words("groupe sanguin"), _words("grupo sanguineo"),
    _words("gruppo sanguigno"), _words("health condition"), _words("procedure code"), _words("drug code"),
    _words("test result"), _words("lab result"),
)  # fmt: skip

SECRET = _words("""
    password passwd pwd passwort kennwort mdp contrasena senha wachtwoord secret token apikey accesskey privatekey privkey salt
    hash pin pincode otp totp credential jwt bearer cvv cvc cvv2 cvc2 passphrase passwordhash pwdhash pswd passcode
    sessionkey sessionid sessiontoken authkey cookie nonce zugangsdaten geheimnis geheim passwordsalt clientsecret cvn csc tan
    wachtwoordhash accesstoken refreshtoken secretkey encryptionkey motdepasse palavrapasse
""")
SECRET_PAIRS: tuple[frozenset[str], ...] = tuple(
    _words(pair)
    for pair in (
        "api key", "access key", "private key", "secret key", "session key", "encryption key", "mot passe", "palavra passe",
        "auth key", "security answer", "secret answer", "recovery code", "backup code", "verification code", "reset code",
        "activation code", "session id", "ssh key", "signing key", "license key", "clave acceso", "codigo acceso", "auth code",
        "parola chiave", "security code", "master key", "confirmation code", "access code", "app key", "chiave api",
    )
)  # fmt: skip
SECRET_NUMBER = _words("pin pincode cvv cvc cvv2 cvc2 otp csc cvn password passcode tan")
SECRET_TABLE = _words("apikey credential secret token password session key vault keystore oauth")

FREE = _words("""
    note comment description desc body message msg content text remark memo bio biography about feedback review detail summary
    bemerkung bemerkungen notiz notizen kommentar kommentare beschreibung nachricht inhalt anmerkung anmerkungen hinweis
    commentaire remarque observation contenu texte nota comentario observaciones descripcion mensaje contenido commento
    descrizione messaggio opmerking opmerkingen omschrijving bericht observacoes descricao mensagem conteudo transcript chat
    question answer reply beschreibungstext freitext freetext narrative complaint beschwerde testo osservazioni motivation
    notitie notities tekst aantekening statement essay abstract justification instruction inquiry anfrage report rationale
    excerpt caption post tweet descr complaint explanation begruendung lebenslauf resume cv coverletter annotation
""")
DESCRIPTION = _words(
    "description desc descr beschreibung descripcion descrizione omschrijving descricao summary detail bezeichnung text"
)

PERSON = _words("""
    customer client user people person employee staff member patient student teacher contact guest visitor passenger driver
    candidate applicant subscriber donor lead profile citizen resident borrower insured beneficiary doctor nurse physician
    kunde kunden mitarbeiter benutzer nutzer personen patienten schueler schuler lehrer mitglied mitglieder angestellte
    angestellter ansprechpartner versicherte versicherter utilisateur employe salarie personne adherent eleve usuario cliente
    empleado persona paciente alumno socio utente utenti clienti dipendente dipendenti persone paziente pazienti studente
    studenti klant klanten gebruiker medewerker werknemer personeel lid leden funcionario pessoa aluno colaborador
    colaboradores trabajador trabajadores individual human worker attendee participant pupil parent guardian spouse child
    children professor lecturer instructor tutor coach lawyer attorney witness suspect victim prospect shopper buyer seller
    cardholder policyholder accountholder holder recipient sender receiver signatory assignee reporter author reviewer approver
    manager supervisor owner landlord spieler player athlete actor actress besitzer inhaber empfaenger empfanger
    absender fahrer arzt aerzte schwester destinataire expediteur titulaire conducteur medecin infirmier enseignant etudiant
    destinatario remitente titular conductor medico enfermero profesor estudiante intestatario autista insegnante allievo
    ontvanger afzender eigenaar bestuurder arts leraar destinatarios remetente motorista estudante enseignants etudiants
    mother father kin nominee caregiver householder personal freelancer consultant physicians clinician therapist volunteer
    admin administrator teilnehmer bewerber interessent mieter proprietaire locataire inquilino huurder rep salesperson
    persons lieferempfaenger persoon personas deelnemer gast gaeste bezoeker clientele verkaeufer vendeur vendedor crew
    membre membro miembro usr cust emp pat stud mbr pers abonne abonnent suscriptor assinante contatto contacto contato contactpersoon relatie
""")
ROLE_PREFIX = _words("""
    ship shipping billing bill delivery emergency invoice mailing legal primary secondary alternate home work account lieferung
    rechnung livraison facturation envio facturacion spedizione fatturazione levering factuur entrega fatura next sales
    correspondence payee payer payor remitter to from cc
""")
DID = _words("""
    created updated modified approved reviewed assigned signed reported requested entered deleted submitted performed verified
    inserted changed published uploaded posted sold authorized handled edited referred prescribed
""")

GENERIC_THING = _words("""
    type role group category status level kind class code lookup setting config permission tag template option typ typen rolle
    rollen gruppe gruppen kategorie kategorien tipo tipos rol roles grupo categoria categorie ruolo ruoli gruppo gruppi soort
    rang tier segment plan schema migration version log_level title rule policy feature flag
""")
THING = _words("""
    product item article category company file table country city region state order invoice department project task event
    course class subject school university hospital clinic hotel room flight airline airport station vehicle car model brand
    supplier vendor manufacturer shipper shop store warehouse branch office bank organization organisation org team genre album
    track playlist song movie film book title media territory district continent currency language unit color colour size
    material ingredient recipe dish menu food drug plant animal pet species breed device machine sensor server host domain
    website page image picture photo document folder repository branch commit build job queue topic channel campaign list
    segment plan package service subscription contract policy claim asset account stock fund portfolio index metric report
    dashboard chart field column schema database function key value attribute property parameter setting option feature test
    question survey exam quiz grade badge award prize league season game match tournament venue stadium facility floor zone
    route stop line port ship vessel train bus part component equipment tool inventory location site area municipality county
    province town village street produkt produkte artikel kategorie firma firmen unternehmen datei tabelle land laender staedte
    stadt abteilung projekt aufgabe kurs fach schule krankenhaus zimmer fahrzeug marke hersteller lieferant lieferanten lager
    filiale bank produit produits categorie entreprise societe fichier pays ville departement projet tache cours ecole hopital
    hotel chambre vehicule marque fournisseur fournisseurs magasin entrepot agence producto productos categoria empresa archivo
    pais ciudad departamento proyecto tarea curso escuela habitacion vehiculo marca proveedor proveedores tienda almacen
    sucursal prodotto prodotti azienda aziende paese citta reparto progetto corso scuola ospedale camera veicolo fornitore
    fornitori negozio magazzino filiale produto produtos cidade projeto tarefa escola quarto veiculo fornecedor fornecedores
    loja armazem bedrijf bedrijven categorieen stad afdeling taak cursus ziekenhuis kamer voertuig merk leverancier leveranciers
    winkel magazijn filiaal provincie gemeente merchant publisher employer sponsor partner franchise carrier operator agency
    software app application platform browser os icon theme theater theatre cinema museum library restaurant bar cafe lesson
    chapter section module lot batch shipment parcel container pallet bin rack shelf bay gate terminal tax discount coupon
    promotion voucher offer deal bundle catalog catalogue collection gallery album variant sku style season workflow process
    step stage phase milestone sprint ticket issue bug release environment cluster node pod container image network port tenant
    disease symptom treatment procedure medication icd ward unit laboratory lab specimen panel gene protein compound element
    meeting appointment calendar timezone holiday shift position occupation profession skill certificate degree program
    programme faculty campus building property listing amenity attraction tour trip journey cruise destination
""")
"""Tables of these are about things: a `name` there is no person's."""

PERHAPS_PERSON = _words(
    "account order invoice tenant konto compte cuenta conto agent operator partner agence subscription contract policy"
)
"""Things whose table may hold persons after all; the neighbours of a column decide."""

ABOUT_CASES = _words("""
    ticket issue bug task claim incident case meeting appointment event project shipment order invoice visit call complaint
    request transaction payment conversation thread inbox support message aufgabe vorgang termin tache projet tarea cita compito
""")
"""Things whose description is written about somebody or something that happened."""

HOLDS_ANYTHING = _words(
    "value data payload raw blob info xml log input output args argument wert daten valeur valor valore dump"
)

BENIGN = _words("""
    status state type kind category code currency language lang sku slug color colour size unit role locale timezone tz country
    region city town county province continent territory url uri link website homepage web path mime format version model make
    brand title subtitle priority severity level rank grade method channel source medium campaign stage phase mode action event
    result outcome isbn ean upc gtin barcode asin icon theme plan tier job position department occupation profession company
    employer industry sector school university genre platform browser os agent device protocol environment namespace day month
    year season shift carrier id uuid guid typ art kategorie farbe groesse land laendercode sprache waehrung wahrung einheit
    stadt pays ville langue devise couleur taille unite statut etat pais ciudad idioma moneda estado tipo categoria stato citta
    paese lingua valuta colore cor cidade soort taal kleur stad provincie gender sex geschlecht sexe sexo sesso geslacht
    firma abteilung position produkt sku quantity qty menge amount price preis prix precio prezzo prijs preco total sum tax
    discount rate percentage ratio weight height width length sorting sort order sequence flag bezirk bundesland departement
    file filename photo image picture logo avatar thumbnail hex symbol iso alpha2 alpha3 bic swift blz currencycode
    countrycode languagecode salutation anrede civilite courtesy suffix prefix honorific tratamiento marke product item
    department rating score visibility scope permission algorithm checksum etag hostname port queue worker
    operator team division cost center freight terms incoterm bezeichnung branch condition frequency interval duration size
    package units delivery payment gateway reference ref invoice voucher coupon nummer number no nr num numero batch lot serial
    entreprise societe empresa azienda bedrijf organization organisation org vendor supplier manufacturer warehouse store shop
    ship via reports released language material fabric pattern style edition publisher publication journal volume chapter
    room seat gate flight station stop route vehicle engine fuel transmission subject course semester term section major degree
    faculty class classroom zone area site floor aisle bin shelf table column schema database function trigger collation
    population capital elevation ort plaats localite localidad comune localita hours opening purpose capacity currencies lifecycle workflow step variant feature setting option parameter property attribute
""")

ATTRIBUTE_HEAD = _words("""
    type status kind format template count verified flag provider enabled sent algorithm algo method version category opt optin
    consent preference frequency expiry expires expiration exp expire month year brand network required confirmed length typ
    statut estado stato country city region state hint_count issuer operator carrier grade band currency language valid
    validated bounced subscribed deliverable label priority policy scheme domain class reason_code attempts attempt retries
""")
ATTRIBUTE_LEAD = _words("type typ tipo statut status estado stato soort art is has num count nb anzahl number_of")
COUNTS = _words(
    "count num number total anzahl nb qty quantity sum avg min max attempts attempt retries length size limit used per tokens"
)
HOLDER = _words("holder owner inhaber titulaire titular intestatario houder embossed")
EXPIRY = _words("expiry expires expiration exp expire month year valid validity ablauf scadenza vencimiento")
ID = _words("id ids uuid guid pk fk oid key")
NOT_A_PLACE = _words("email mail ip mac web url wallet bitcoin btc eth contract memory host server smtp website")
VOCABULARY_SMALL = _words("of de du da di id no nr to ip cc del des la le van zu")

VOCABULARY = frozenset().union(
    EMAIL, PHONE, ADDRESS, GIVEN_NAME, NAME, NAME_PART, BIRTH, NATIONAL_ID, CARD, IBAN, ACCOUNT, NUMBER, SALARY, BALANCE, IP,
    MAC, LATITUDE, HEALTH, SECRET, FREE, PERSON, ROLE_PREFIX, GENERIC_THING, THING, BENIGN, ATTRIBUTE_HEAD, ID, HOLDER,
    *NATIONAL_ID_PAIRS, *CARD_PAIRS, *HEALTH_PAIRS, *SECRET_PAIRS, _words("date datum fecha data expiry house haus hash line"),
)  # fmt: skip
"""Words a compound may be cut into (`kundennummer` = kunde + n + nummer)."""
