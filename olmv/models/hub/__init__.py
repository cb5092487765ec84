"""Models on the Hugging Face Hub: fetched and sent."""
