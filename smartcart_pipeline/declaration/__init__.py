"""What is declared: the columns of an export, the recipes, and every table and view that is made of them."""
