"""A registered model behind HTTP: ``server`` starts it in one ``process``, or in several ``workers``.

A request's way: ``web`` reads the body within limits, ``request_pictures`` decodes it in a thread, ``batcher`` puts all
images that wait into one batch for the model that ``live_model`` holds, ``meters`` counts and times all of it.
"""
