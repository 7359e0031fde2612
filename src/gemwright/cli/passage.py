"""A text to measure on. Finding the next token takes longer where the model is unsure, so it must be a real one."""

PASSAGE = """\
The harbour wakes before the town does. At four in the morning the first boats come in under a sky the colour of slate,
and the men who unload them speak little, because there is nothing new to say about herring. By six the ice machine has
begun its long complaint and a lorry from the inland market stands at the quay with its engine running. Prices are made
with a nod. What is left goes to the smokehouse on the hill, where Marta Lindqvist has hung fish over alder wood for
thirty-one years and still burns her fingers every week.

Measuring the height of a tree without climbing it takes a stick, a clear day and a little geometry. Hold the stick
upright at arm's length so that its visible part is as long as your arm, walk backwards until its tip and the top of the
tree meet, and count the steps to the trunk. The two triangles, the small one of arm and stick and the large one of
ground and tree, have the same shape. If you are 18 steps away and each step is 0.75 metres, the tree is about 13.5
metres high, plus the height of your eyes.

"You said the letter would come on Tuesday," she began, without looking up from the map. "I said it might," answered the
clerk. "The pass is closed at Verrane, the second bridge is gone, and the mule that carries the post has opinions of its
own." Outside, the rain had turned the street into a shallow brown river in which two ducks were arguing.

To restore a dropped table, stop the writer first; then copy the last snapshot to a new directory, replay the log up to
the minute before the accident, and compare row counts with the nightly report. Never restore over the damaged files:
they are evidence, and the second attempt may need them. A function that does the replay in Python is short:

    def replay(log, until):
        for entry in log:
            if entry.time > until:
                return
            apply(entry.table, entry.key, entry.value)

Most vegetables prefer to be cooked quickly. Cut the carrots thinly, heat a wide pan until a drop of water dances on it,
add oil, then carrots, then a pinch of sugar; after four minutes add the juice of half an orange, salt and a handful of
chopped parsley. Serve at once. Children who refuse boiled carrots have been seen to ask for these a second time.
"""
