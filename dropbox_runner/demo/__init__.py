"""The whole story in a temporary folder: the real commands and the sample tasks, with the stand-in in claude's place.

stage.py is where it plays (the folder, the processes, the signals), story.py what is done and told, tree.py the look
at the end, scenario.json what the stand-in plays. The samples are those of sample_inbox/.
"""
