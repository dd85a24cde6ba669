"""Whether a registered model in use still meets what it was validated on.

``reference`` has the validation rows that a version is held against, ``windows`` cuts the log of answers, ``findings``
measures each window on the control charts, and ``page`` shows them.
"""
