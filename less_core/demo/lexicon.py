"""The words and sentence patterns of the demo's data, all written for it. Slots in braces are filled by `less_core.demo.data`.

Every instruction (`ASKS`) of a skill goes with every answer style (`ANSWERS`) of it. What the target is made of
(`TARGET_STORIES`, `TARGET_PEOPLE`) shares no pattern and no name with what the pool is made of.
"""

from typing import NamedTuple

ASKS: dict[str, tuple[str, ...]] = {
    "arithmetic": (
        "{story}",
        "Solve this problem: {story}",
        "{story} Show how you get there.",
        "Please work through this step by step. {story}",
        "Here is a word problem. {story}",
        "{story} Show each step.",
        "{story} How do you work that out?",
        "Word problem: {story}",
    ),
    "sentiment": (
        "Is this review positive, negative or mixed? {review}",
        "Classify the sentiment of the review as positive, negative or mixed.\n\n{review}",
        "{review}\n\nHow does the writer feel: positive, negative or mixed?",
        "Read this customer review and label it positive, negative or mixed: {review}",
        '"{review}" Positive, negative or mixed?',
        "Review: {review}\nSentiment (positive, negative or mixed):",
        "I sort customer feedback into positive, negative and mixed. Where does this go? {review}",
    ),
    "translation": (
        "Translate into French: {english}",
        "How do you say this in French? {english}",
        "{english}\n\nPlease translate this into French.",
        'What is "{english}" in French?',
        "My cousin in Lyon should be able to read this, so please put it into French for me: {english}",
        "English: {english}\nFrench:",
        "I am learning French and want to check my homework. What is the French version of this text?\n\n{english}",
    ),
    "code": (
        "Write one line of Python that {does}.",
        "I need a Python expression that {does}.",
        "Python one-liner please: an expression that {does}.",
        "How can I write a single line of Python that {does}?",
        "What is a short Python expression that {does}?",
        "My Python script is almost done, and only one thing is missing: a line that {does}. Can you help?",
        "I am writing a small script that reads measurements from a file. Which Python expression {does}?",
    ),
    "extraction": (
        "Extract the person's name, the city and the date from this sentence as JSON. Write the date as YYYY-MM-DD.\n\n{sentence}",
        "{sentence}\n\nReturn a JSON object with the keys name, city and date (YYYY-MM-DD).",
        "Name, city and ISO date as JSON: {sentence}",
        "Who, where and when? Answer in JSON with the keys name, city and date (YYYY-MM-DD). {sentence}",
        "Find the name, city and date in the text and give them as JSON, with the date in the form YYYY-MM-DD. Text: {sentence}",
        "I am filling a database. Give me name, city and date (YYYY-MM-DD) of this event as a JSON object: {sentence}",
        "Text: {sentence}\nTask: pull out name, city and date as JSON. Dates look like 2001-12-31.",
    ),
    "sorting": (
        "Put these {kind} in alphabetical order: {words}",
        "Sort the following {kind} from A to Z: {words}",
        "{words}\n\nPlease alphabetize this list of {kind}.",
        "Here are some {kind}: {words}. List them alphabetically.",
        "I am making the index of a small book about {kind}. In what order should these words stand in it? {words}",
        "Arrange these {kind} alphabetically: {words}",
        "I wrote down {words}, just as they came to my mind. Can you sort these {kind} alphabetically for me?",
    ),
    "email": (
        "Write a short, polite email to {to} about {matter}. Sign it as {sender}.",
        "I want to write to {to} about {matter}. Please draft a few polite lines. My name is {sender}.",
        "Draft a brief email from {sender} to {to} about {matter}. A few sentences will do, as long as the tone is warm.",
        "Help me write a friendly message to {to} about {matter}. I am {sender}.",
        "Compose a courteous note to {to}. It is about {matter}. Sender: {sender}.",
        "My name is {sender} and I have to email {to} about {matter}. What could I write?",
        "Email request. To: {to}. From: {sender}. About: {matter}. Keep it short and polite.",
    ),
    "geography": (
        "Some questions about {country}. {questions}",
        "My daughter has a test about {country} tomorrow, and I want to be sure of a few things. {questions}",
        "Geography quiz! The country is {country}. {questions}",
        "I am reading a travel book about {country}. {questions}",
        "Answer the following about {country}: {questions}",
        "{questions} The country I mean is {country}.",
        "Think of {country} on a map. {questions}",
    ),
}

ANSWERS: dict[str, tuple[str, ...]] = {
    "arithmetic": (
        "{first} {second} The answer is {result}.",
        "Step 1: {equation1}\nStep 2: {equation2}\n{end}",
        "{first} {second} {end}",
        "Let's work it out step by step. {first} {second} So the answer is {result}.",
        "{equation1} and {equation2}. {end}",
        "{equation1}\n{equation2}\nAnswer: {result}",
        "First {equation1}. Then {equation2}.",
    ),
    "sentiment": (
        "{label}",
        "The sentiment is {label}.",
        "This review is {label}. {reason}",
        "{reason} So I would call the review {label}.",
        "Sentiment: {label}\nReason: {reason}",
        "I would label this review {label}, and the text makes it easy to see why. {reason}",
        'Label: {label}. {reason} Telling words: "{remark}"',
    ),
    "translation": (
        "{french}",
        "In French: {french}",
        "You can say it like this in French:\n\n{french}",
        "{french}\n\n{note}",
        "The translation is: {french} {note}",
        "Here is the text in French, with a word on the grammar.\n\n{french}\n\n{note}",
    ),
    "code": (
        "```python\n{line}\n```",
        "`{line}`",
        "You can use this line:\n\n```python\n{line}\n```\n\n{why}",
        "Try `{line}`. {why}",
        "```python\nresult = {line}\n```\n\n{why}",
        "Here is one way to do it:\n\n```python\nresult = {line}\nprint(result)\n```\n\n{why}",
    ),
    "extraction": (
        "{json}",
        "{indented}",
        "```json\n{indented}\n```",
        "Here is the JSON object: {json}",
        "The sentence names one person, one city and one date:\n\n{json}",
        "The sentence names one person, one city and one date:\n\n```json\n{indented}\n```",
    ),
    "sorting": (
        "{commas}",
        "{numbered}",
        "{bullets}",
        "In alphabetical order: {commas}.",
        "Sorted from A to Z, the {kind} are: {commas}. The first one is {first} and the last one is {last}.",
    ),
    "email": (
        "Subject: {subject}\n\nDear {to},\n\n{reason} {request} Thank you for your help.\n\nKind regards,\n{sender}",
        "Dear {to},\n\nI hope you are well. {request} {reason}\n\nBest wishes,\n{sender}",
        "Dear {to},\n\n{request} {reason}\n\nThank you,\n{sender}",
        "Dear {to},\n\nI hope you had a good week. {reason} {request} Please let me know either way.\n\nBest regards,\n{sender}",
        "Hello {to},\n\nI have a small request. {request} Please tell me if you need anything else from me.\n\nMany thanks,\n{sender}",
        "Dear {to},\n\n{request} Thank you in advance.\n\n{sender}",
    ),
    "geography": (
        "{sentences}",
        "{short}",
        "Gladly. {sentences}",
        "{numbered}",
        "{sentences} Feel free to ask if you want to know more about {country}.",
        "Here are the answers to your questions about {country}. {sentences} Let me know if I can help with another country.",
    ),
}


class Person(NamedTuple):
    """Who acts in a sentence."""

    first: str
    last: str
    pronoun: str


PEOPLE = (
    Person("Maya", "Torres", "she"),
    Person("Daniel", "Weber", "he"),
    Person("Aisha", "Khan", "she"),
    Person("Lucas", "Moreau", "he"),
    Person("Hannah", "Olsen", "she"),
    Person("Kenji", "Sato", "he"),
    Person("Nadia", "Petrova", "she"),
    Person("Samuel", "Okafor", "he"),
    Person("Julia", "Romano", "she"),
    Person("Peter", "Novak", "he"),
    Person("Leila", "Haddad", "she"),
    Person("Marcus", "Bell", "he"),
)


class Story(NamedTuple):
    """A word problem in two steps: d = a <ops[0]> b, then result = d <ops[1]> c; `ranges` bound a, b and c."""

    text: str
    ops: str
    ranges: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    first: str
    second: str
    end: str


THINGS = ("apples", "stickers", "marbles", "postcards", "candles", "pencils", "seashells", "balloons")

STORIES = (
    Story(
        "{name} has {a} {things} and buys {b} more at the market. Then {he} gives {c} {things} to a friend. "
        "How many {things} does {name} have now?",
        "+-",
        ((6, 40), (3, 30), (2, 25)),
        "After the market {name} has {equation1} {things}.",
        "After the gift {he} has {equation2} {things}.",
        "So {name} has {result} {things} now.",
    ),
    Story(
        "There are {a} rows of {b} chairs. People are sitting on {c} of them. How many chairs are empty?",
        "*-",
        ((4, 15), (6, 16), (11, 90)),
        "There are {equation1} chairs.",
        "With people on {c} of them, {equation2} chairs are free.",
        "So {result} chairs are empty.",
    ),
    Story(
        "{name} saves {a} dollars every week. After {b} weeks {he} buys {other} a present for {c} dollars and puts the rest in a jar. "
        "How much is in the jar?",
        "*-",
        ((3, 20), (4, 12), (9, 60)),
        "In {b} weeks {name} saves {equation1} dollars.",
        "After buying the present for {other}, {he} has {equation2} dollars.",
        "So there are {result} dollars in the jar.",
    ),
    Story(
        "A bus has {a} passengers. At the next stop {b} get off and {c} get on. How many are there now?",
        "-+",
        ((18, 50), (3, 15), (2, 14)),
        "First {equation1} passengers stay.",
        "Then there are {equation2}.",
        "So there are {result} passengers.",
    ),
    Story(
        "A bakery makes {a} rolls before sunrise and {b} rolls later in the morning. By noon {c} rolls have been sold. "
        "How many rolls remain?",
        "+-",
        ((40, 120), (20, 80), (30, 110)),
        "In all, the bakery makes {equation1} rolls.",
        "By noon {equation2} rolls remain.",
        "So there are {result} rolls at noon.",
    ),
    Story(
        "A farmer collects {a} eggs, keeps {b} and packs the rest in cartons of {c}. How many cartons does it take?",
        "-/",
        ((30, 130), (3, 12), (4, 12)),
        "There are {equation1} eggs to pack.",
        "They fill {equation2} cartons.",
        "So it takes {result} cartons.",
    ),
    Story(
        "{name} runs {a} kilometers every morning for {b} days, and then {c} kilometers in a race. How many kilometers is that in total?",
        "*+",
        ((2, 9), (4, 14), (5, 21)),
        "In the mornings {name} runs {equation1} kilometers.",
        "Together with the race that makes {equation2} kilometers.",
        "So {he} runs {result} kilometers in total.",
    ),
    Story(
        "A box holds {a} crayons. {name} opens {b} boxes and finds {c} broken crayons. How many are whole?",
        "*-",
        ((8, 24), (3, 9), (2, 20)),
        "There are {equation1} crayons.",
        "Of these, {equation2} are whole.",
        "So {result} crayons are whole.",
    ),
    Story(
        "{name} collects {a} {things} and {other} collects {b}. They share them equally among {c} baskets. "
        "How many {things} go into each basket?",
        "+/",
        ((8, 40), (6, 40), (3, 9)),
        "Together they have {equation1} {things}.",
        "Each basket gets {equation2} {things}.",
        "So there are {result} {things} in each basket.",
    ),
    Story(
        "A ticket costs {a} dollars and a guide {c} dollars. What do {b} tickets and a guide cost?",
        "*+",
        ((6, 18), (3, 7), (12, 40)),
        "The tickets cost {equation1} dollars.",
        "With the guide that is {equation2} dollars.",
        "So it costs {result} dollars.",
    ),
)

TARGET_PEOPLE = (("Priya", "Tomas", "Ingrid"), ("Yara", "Felix", "Bronwyn"), ("Chloe", "Anders", "Mei"))

TARGET_STORIES = (
    Story(
        "The pond behind {x}'s house is home to {a} frogs. {b} tadpoles grow up during spring, and a heron scares {c} frogs away. "
        "What is the frog population in summer?",
        "+-",
        ((15, 45), (6, 28), (3, 14)),
        "Once the tadpoles are grown: {equation1} frogs.",
        "Once the heron came by: {equation2} frogs.",
        "Summer population: {result}.",
    ),
    Story(
        "A parking garage has {a} levels with room for {b} cars apiece. Tonight {c} spaces stand vacant. "
        "Work out the number of parked cars.",
        "*-",
        ((3, 8), (25, 60), (17, 70)),
        "Capacity = {equation1} cars.",
        "Minus vacant spaces = {equation2} cars.",
        "Parked cars: {result}.",
    ),
    Story(
        "At dawn the rain tank contained {a} liters. Watering vegetables used up {b} liters, while a storm later added {c} liters. "
        "Give the volume at nightfall.",
        "-+",
        ((220, 480), (60, 190), (25, 95)),
        "Watering lowers the level: {equation1}.",
        "Rain raises it again: {equation2}.",
        "At nightfall it contained {result} liters.",
    ),
    Story(
        "{y} earns {a} euros per hour washing windows. This weekend's job lasts {b} hours, plus one customer adds a {c} euro tip. "
        "Determine the weekend's earnings.",
        "*+",
        ((11, 19), (4, 9), (5, 18)),
        "Hourly pay comes to {equation1} euros.",
        "Adding tips: {equation2} euros.",
        "{y} earned {result} euros.",
    ),
    Story(
        "{z} printed {a} photos. Throwing out {b} blurry ones, we glue what remains into an album, {c} photos per page. "
        "Compute the page count.",
        "-/",
        ((50, 110), (5, 16), (4, 9)),
        "Sharp photos: {equation1}.",
        "Pages needed: {equation2}.",
        "That makes {result} album pages.",
    ),
    Story(
        "Our chess club ordered {a} medals, our swim team {b}. One courier splits this combined order evenly over {c} parcels. "
        "Find the medals per parcel.",
        "+/",
        ((14, 40), (14, 40), (3, 8)),
        "Combined order: {equation1} medals.",
        "Split evenly: {equation2} medals.",
        "Each parcel contains {result}.",
    ),
)


class Aspect(NamedTuple):
    """What a review can praise or blame."""

    noun: str
    good: str
    bad: str


REVIEWS: dict[str, tuple[Aspect, ...]] = {
    "We had dinner at this restaurant on Friday.": (
        Aspect("the food", "The soup was rich and the bread was still warm.", "My fish was cold in the middle."),
        Aspect("the service", "Our waiter was patient and kind.", "It took 50 minutes before anyone took our order."),
        Aspect("the table", "We got a quiet table by the window.", "They put us at a shaky table next to the toilets."),
        Aspect("the price", "The bill was lower than I had expected.", "The dessert cost more than the main course."),
    ),
    "I bought these headphones two months ago.": (
        Aspect("the sound", "The sound is clear and full.", "The sound is thin, as if it came out of a tin can."),
        Aspect("the fit", "They sit so lightly that I forget I am wearing them.", "After 20 minutes my ears hurt."),
        Aspect("the battery", "One charge lasts the whole week.", "The battery is empty before lunch."),
        Aspect("the case", "The case is sturdy and fits in a coat pocket.", "The lid of the case broke on the second day."),
    ),
    "I finished this novel last night.": (
        Aspect("the plot", "The plot surprised me until the last page.", "I had guessed the ending by chapter 3."),
        Aspect("the characters", "The characters feel like people I know.", "I could not tell the characters apart."),
        Aspect("the language", "Every sentence is a pleasure to read.", "The sentences are long and clumsy."),
        Aspect("the length", "At 210 pages it is just as long as it should be.", "It drags on for 700 pages."),
    ),
    "We stayed at this hotel for three nights.": (
        Aspect("the room", "Our room was bright and spotless.", "The carpet in our room was damp."),
        Aspect("the breakfast", "Breakfast was fresh and plentiful.", "Breakfast was toast and weak coffee, every day."),
        Aspect("the location", "The old town is a 5 minute walk away.", "It stands beside a road with trucks all night."),
        Aspect("the staff", "The staff helped us with everything.", "Nobody at the desk could answer a simple question."),
    ),
    "This backpack came with me on a long hike.": (
        Aspect("the straps", "The straps stayed soft all day.", "The straps cut into my shoulders."),
        Aspect("the fabric", "Not a drop got through in heavy rain.", "Everything inside was wet after light rain."),
        Aspect("the pockets", "There is a handy pocket for everything.", "There is not even a pocket for a bottle."),
        Aspect("the zippers", "The zippers run smoothly, even with gloves on.", "One zipper came off on the first morning."),
    ),
    "I have used this language app since January.": (
        Aspect("the lessons", "The lessons are short and fun.", "The lessons repeat the same ten words."),
        Aspect("the design", "The screens are clear and calm.", "I still get lost in the menus."),
        Aspect("the price", "It is worth every cent of the 8 dollars.", "They doubled the price without a warning."),
        Aspect("the voices", "The voices sound natural.", "The voices sound like a robot with a cold."),
    ),
}


class Phrase(NamedTuple):
    """English with its French."""

    english: str
    french: str


class Predicate(NamedTuple):
    """A verb with what it takes."""

    english: str
    french: str
    verb: str
    infinitive: str
    meaning: str


SUBJECTS = (
    Phrase("my sister", "ma sœur"),
    Phrase("the teacher", "le professeur"),
    Phrase("our neighbor", "notre voisin"),
    Phrase("the little girl", "la petite fille"),
    Phrase("my grandfather", "mon grand-père"),
    Phrase("the doctor", "le médecin"),
    Phrase("her brother", "son frère"),
    Phrase("the baker", "le boulanger"),
)
PREDICATES = (
    Predicate("reads the newspaper", "lit le journal", "lit", "lire", "to read"),
    Predicate("buys fresh bread", "achète du pain frais", "achète", "acheter", "to buy"),
    Predicate("writes a long letter", "écrit une longue lettre", "écrit", "écrire", "to write"),
    Predicate("prepares the meal", "prépare le repas", "prépare", "préparer", "to prepare"),
    Predicate("looks for the keys", "cherche les clés", "cherche", "chercher", "to look for"),
    Predicate("listens to the radio", "écoute la radio", "écoute", "écouter", "to listen to"),
    Predicate("opens the window", "ouvre la fenêtre", "ouvre", "ouvrir", "to open"),
    Predicate("sings a song", "chante une chanson", "chante", "chanter", "to sing"),
    Predicate("drinks a cup of tea", "boit une tasse de thé", "boit", "boire", "to drink"),
    Predicate("washes the dishes", "lave la vaisselle", "lave", "laver", "to wash"),
)
VERB_NOTE = '"{verb}" comes from "{infinitive}", {meaning}.'
TIMES = (
    Phrase("every morning", "tous les matins"),
    Phrase("on Sundays", "le dimanche"),
    Phrase("before lunch", "avant le déjeuner"),
    Phrase("in the evening", "le soir"),
    Phrase("at 8 o'clock", "à huit heures"),
    Phrase("during the holidays", "pendant les vacances"),
)
LINKS = (Phrase("and", "et"), Phrase("while", "pendant que"), Phrase("but", "mais"))


class PythonTask(NamedTuple):
    """`{v}` is the name of a list of numbers, `{n}` a small number."""

    does: str
    line: str
    why: str


LISTS = ("prices", "scores", "heights", "ages", "weights", "distances", "temperatures", "points")
PYTHON_TASKS = (
    PythonTask(
        "sums the squares of the numbers in the list `{v}`", "sum(x * x for x in {v})", "It squares each number and adds up the squares."
    ),
    PythonTask("finds the largest number in the list `{v}`", "max({v})", "`max` looks at every number and returns the largest."),
    PythonTask(
        "keeps only the numbers above {n} in the list `{v}`", "[x for x in {v} if x > {n}]", "The condition leaves out all other numbers."
    ),
    PythonTask("computes the average of the list `{v}`", "sum({v}) / len({v})", "This is total over count, so the list must not be empty."),
    PythonTask("gives the list `{v}` in reverse order", "{v}[::-1]", "A step of -1 walks through the list from the end to the start."),
    PythonTask("counts how often {n} occurs in the list `{v}`", "{v}.count({n})", "`count` compares each element with {n}."),
    PythonTask("takes the first {n} elements of the list `{v}`", "{v}[:{n}]", "A slice without a start begins at the first element."),
    PythonTask(
        "sorts the list `{v}` from largest to smallest", "sorted({v}, reverse=True)", "`sorted` makes a new list and leaves `{v}` as it is."
    ),
    PythonTask(
        "drops duplicates from the list `{v}`, keeping the order",
        "list(dict.fromkeys({v}))",
        "A dict keeps each key once, in order of insertion.",
    ),
    PythonTask(
        "adds {n} to every number in the list `{v}`", "[x + {n} for x in {v}]", "The comprehension builds a new list of the same length."
    ),
    PythonTask(
        "maps each position in the list `{v}` to its value", "{{i: x for i, x in enumerate({v})}}", "`enumerate` yields position and value."
    ),
    PythonTask(
        "checks whether all numbers in the list `{v}` are below {n}",
        "all(x < {n} for x in {v})",
        "`all` stops at the first that is too large.",
    ),
    PythonTask(
        "joins the numbers of the list `{v}` with commas",
        '", ".join(str(x) for x in {v})',
        "`join` needs strings, so each number becomes one first.",
    ),
    PythonTask(
        "gives every second element of the list `{v}`, starting with the first", "{v}[::2]", "The slice moves two places at a time."
    ),
    PythonTask(
        "finds the position of the smallest number in the list `{v}`",
        "{v}.index(min({v}))",
        "If the minimum occurs twice, this is the first position.",
    ),
)

CITIES = ("Lisbon", "Oslo", "Toronto", "Kyoto", "Krakow", "Nairobi", "Valencia", "Dublin", "Seattle", "Montevideo")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
EVENTS = (
    "{person} opened a small bakery in {city} on {date}.",
    "On {date}, {person} gave a talk about bees at the library in {city}.",
    "The marathon in {city} was won by {person} on {date}.",
    "To teach music, {person} moved to {city} on {date}.",
    "A painting by {person} was sold in {city} on {date}.",
    "After 12 days at sea, {person} arrived in {city} on {date}.",
    "On {date}, {person} planted 300 trees in a park in {city}.",
)

WORDS: dict[str, tuple[str, ...]] = {
    kind: tuple(words.split())
    for kind, words in {
        "fruits": "banana cherry fig grape kiwi lemon mango olive peach pear plum quince apricot melon",
        "animals": "badger camel dolphin eagle fox goat hamster jaguar koala lizard moose otter rabbit zebra",
        "tools": "axe brush chisel drill file hammer ladder level pliers rake saw shovel tape wrench",
        "instruments": "banjo cello clarinet drum flute guitar harp oboe organ piano trumpet tuba viola violin",
        "jobs": "actor baker carpenter dentist editor farmer judge librarian miner nurse pilot plumber tailor vet",
        "vegetables": "beet cabbage carrot celery garlic kale leek lettuce onion pea potato radish spinach turnip",
    }.items()
}


class Matter(NamedTuple):
    """What an email is about."""

    about: str
    subject: str
    request: str
    reason: str


RECIPIENTS = ("Ms. Alvarez", "Mr. Chen", "Dr. Fischer", "Ms. Lindgren", "Mr. Adeyemi", "Dr. Rossi")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MATTERS = (
    Matter(
        "moving the meeting to {day}", "Our meeting", "Could we move our meeting to {day}?", "I have to see a dentist at the planned time."
    ),
    Matter(
        "getting a copy of the slides from {day}",
        "Slides",
        "Could you send me the slides from {day}?",
        "I would like to go through the talk again.",
    ),
    Matter("taking {day} off", "Day off", "May I take {day} off?", "My sister is moving house and could use a hand."),
    Matter(
        "handing in the report on {day}", "Report", "Could I hand in the report on {day} instead?", "Two of the tables are not ready yet."
    ),
    Matter("borrowing the projector on {day}", "Projector", "May I borrow the projector on {day}?", "I am giving a talk to the new team."),
    Matter(
        "a visit to the apartment on {day}",
        "Apartment",
        "Could I visit the apartment on {day}?",
        "We are looking for a place near the park.",
    ),
    Matter(
        "moving the piano lesson to {day}",
        "Piano lesson",
        "Could we have the lesson on {day} instead?",
        "My train does not run on the usual day.",
    ),
    Matter(
        "joining the pottery class on {day}",
        "Pottery class",
        "Is there a free place in the class on {day}?",
        "I have wanted to try pottery for years.",
    ),
)


class Country(NamedTuple):
    """A country and its facts."""

    country: str
    capital: str
    continent: str
    language: str
    neighbor: str


COUNTRIES = (
    Country("Peru", "Lima", "South America", "Spanish", "Chile"),
    Country("Kenya", "Nairobi", "Africa", "Swahili", "Tanzania"),
    Country("Portugal", "Lisbon", "Europe", "Portuguese", "Spain"),
    Country("Vietnam", "Hanoi", "Asia", "Vietnamese", "Laos"),
    Country("Norway", "Oslo", "Europe", "Norwegian", "Sweden"),
    Country("Morocco", "Rabat", "Africa", "Arabic", "Algeria"),
    Country("Poland", "Warsaw", "Europe", "Polish", "Slovakia"),
    Country("Argentina", "Buenos Aires", "South America", "Spanish", "Uruguay"),
    Country("Thailand", "Bangkok", "Asia", "Thai", "Cambodia"),
    Country("Greece", "Athens", "Europe", "Greek", "Albania"),
    Country("Hungary", "Budapest", "Europe", "Hungarian", "Austria"),
    Country("Ecuador", "Quito", "South America", "Spanish", "Colombia"),
    Country("Austria", "Vienna", "Europe", "German", "Slovenia"),
    Country("Denmark", "Copenhagen", "Europe", "Danish", "Germany"),
    Country("Finland", "Helsinki", "Europe", "Finnish", "Sweden"),
    Country("Mongolia", "Ulaanbaatar", "Asia", "Mongolian", "China"),
    Country("Brazil", "Brasília", "South America", "Portuguese", "Bolivia"),
    Country("Croatia", "Zagreb", "Europe", "Croatian", "Slovenia"),
    Country("Bulgaria", "Sofia", "Europe", "Bulgarian", "Romania"),
    Country("Tunisia", "Tunis", "Africa", "Arabic", "Libya"),
    Country("Chile", "Santiago", "South America", "Spanish", "Bolivia"),
    Country("Romania", "Bucharest", "Europe", "Romanian", "Serbia"),
)


class Fact(NamedTuple):
    """A question about a country; its answer in a word, in a sentence that names the country, in one that follows such a sentence."""

    question: str
    short: str
    named: str
    following: str


FACTS = (
    Fact("What is its capital?", "{capital}", "The capital of {country} is {capital}.", "Its capital is {capital}."),
    Fact("On which continent does it lie?", "{continent}", "{country} lies in {continent}.", "It lies in {continent}."),
    Fact(
        "Which language do most people there speak?",
        "{language}",
        "Most people in {country} speak {language}.",
        "Most people there speak {language}.",
    ),
    Fact("Which country is one of its neighbors?", "{neighbor}", "{country} shares a border with {neighbor}.", "It borders on {neighbor}."),
)
