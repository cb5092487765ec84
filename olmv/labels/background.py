"""Everyday words that a label is measured against where a model has no probabilities of its own.

They are spread over what videos show and follow no data set. Which they are matters little, how many they are more:
with a third of them scores are slightly worse (`scripts/benchmarks/bench_score.py`).
"""

from collections.abc import Sequence

from olmv.labels.texts import LabelTexts, build_texts
from olmv.labels.vocabulary import Vocabulary

__all__ = ["BACKGROUND_WORDS", "background_texts"]

# animals, plants, food, household, rooms, clothes, tools, media, vehicles, play, places, landscapes, weather and light,
# materials, pictures, people; moving, doing, with others, events: a paragraph each
_WORDS = """
dog, cat, horse, cow, sheep, pig, rabbit, bear, elephant, monkey, bird, chicken, fish, turtle, snake, frog, butterfly,
spider

tree, flower, grass, leaves, bush, cactus, moss, mushroom, seeds

bread, cheese, egg, meat, rice, soup, salad, vegetables, apple, berries, cake, chocolate, ice cream, pizza, coffee,
water

bottle, cup, plate, bowl, spoon, knife, pan, jar, basket, candle, clock, lamp, mirror, pillow, towel, soap, toothbrush,
key, umbrella

chair, table, couch, bed, shelf, curtain, carpet, door, window, stairs, kitchen, bathroom, office, garage

shirt, dress, coat, pants, shoes, hat, gloves, scarf, glasses, bag

hammer, saw, scissors, rope, ladder, wheel, pipe, engine, crane, robot, broom

computer, phone, television, camera, keyboard, cable, book, newspaper, map, pen, money

car, bus, truck, bicycle, motorcycle, train, airplane, helicopter, boat, tractor, rocket

ball, racket, skateboard, swing, doll, puzzle, kite, guitar, piano, drum, violin, trumpet

house, tower, church, castle, bridge, tunnel, street, parking lot, train station, airport, harbor, store, restaurant,
school, hospital, museum, stadium, farm, fence

mountain, hill, forest, field, garden, desert, beach, island, river, lake, sea, waterfall, cave, cliff, road

sun, clouds, rain, snow, fog, lightning, rainbow, night, stars, fire, smoke, shadow

wood, metal, stone, brick, concrete, glass, plastic, paper, cloth, leather, sand, mud, ice, dust

circle, square, stripes, dots, red, blue, green, black and white, text, drawing, cartoon, chart, logo, statue

a person, a child, a crowd, a face, hands, feet, hair, a family, a team

walking, running, jumping, climbing, crawling, swimming, diving, dancing, falling, riding, driving, flying, sitting,
stretching

cooking, eating, drinking, cutting, pouring, cleaning, painting, writing, reading, typing, sewing, building, digging,
repairing, carrying, pushing, pulling, throwing, catching, opening, packing

talking, laughing, singing, hugging, shaking hands, waving, clapping, playing, teaching, shopping, waiting, sleeping

birthday, wedding, concert, parade, race, party, picnic, meeting, ceremony, fireworks, festival
"""

BACKGROUND_WORDS = tuple(word.strip() for word in _WORDS.replace(",\n", ", ").replace("\n\n", ", ").split(","))
"""A change of them changes the probabilities of every softmax-trained model, and makes fitted thresholds stale."""


def background_texts(templates: Sequence[str]) -> LabelTexts:
    """Word the background as labels are worded, in the same templates: one label a word."""
    return build_texts(Vocabulary.from_names(BACKGROUND_WORDS), templates)
