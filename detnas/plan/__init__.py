"""What jobs a search consists of, what each is asked, and which are due: no effects here."""
