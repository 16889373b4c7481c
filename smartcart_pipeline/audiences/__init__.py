"""Audiences: which customers a campaign is for, declared as code, and handed out so that the other side can keep up."""
