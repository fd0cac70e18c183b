import pickle,numpy as np
from pathlib import Path
from dataclasses import replace
import toxic_training.modelling.encoders.files as F
import toxic_training.modelling.encoders.vocabulary as V
from toxic_model.packed import WORD_EMBEDDINGS
vocab,c,kept,sup,added=pickle.load(open('RUN/vocab.pkl','rb'))
e=F.read_encoder(Path('RUN/enc0'))
order=sorted(kept|set(sup[:30000])); print(len(order))
e=replace(e,config={**e.config,'vocab_size':len(order)},weights={**e.weights,WORD_EMBEDDINGS:e.weights[WORD_EMBEDDINGS][np.asarray(order)]},tokenizer=V.unigram_tokenizer([vocab[i] for i in order],specials=V.SpecialTokens()))
F.write_encoder(e,Path('RUN/enc1'))
