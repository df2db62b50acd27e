"""Everything that asks a model. What steps use:

ask_rows, work_rows        one request a row, or as many as a row needs: concurrent, retried, stored, in order
Request, Answer, Ask       what is asked, what comes back, and the function a `work(row, ask)` is given
add_llm_arguments          the flags of every step that asks, and `llm_options`: what was given, as named values
"""

from common.llm.asking import ask_rows, work_rows
from common.llm.options import LLMOptions, add_llm_arguments, llm_options
from common.llm.protocol import Answer, Ask, Request

__all__ = ["Answer", "Ask", "LLMOptions", "Request", "add_llm_arguments", "ask_rows", "llm_options", "work_rows"]
