"""What a VES event may look like: the definitions (`ves_7_2_1.fields`) and what is compiled from them."""
