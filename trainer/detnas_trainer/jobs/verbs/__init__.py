"""The work of each verb, and what several of them share: training, scoring, teachers."""
