"""LangChain's standard tests of embeddings, for its two clients that can talk to the daemon."""

import os

from langchain_ollama import OllamaEmbeddings
from langchain_openai import OpenAIEmbeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests

URL = os.environ["MULLAMA_URL"]
MODEL = os.environ["MULLAMA_EMBED_MODEL"]


class TestOllamaEmbeddings(EmbeddingsIntegrationTests):
    embeddings_class = OllamaEmbeddings
    embedding_model_params = {"model": MODEL, "base_url": URL}


class TestOpenAIEmbeddings(EmbeddingsIntegrationTests):
    embeddings_class = OpenAIEmbeddings
    embedding_model_params = {
        "model": MODEL,
        "base_url": URL + "/v1",
        "api_key": "none",
        "check_embedding_ctx_length": False,  # otherwise it sends tokens of OpenAI's vocabulary
    }
