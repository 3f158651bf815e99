"""The embedded model: a small Qwen3-VL that was really trained to find things in pictures, pages and videos."""
