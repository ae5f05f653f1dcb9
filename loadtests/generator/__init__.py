"""The processes that make the load, with Locust: the only room that imports it.

To import Locust is to have gevent patch the whole process, so nobody imports this room: it is run.
"""
