"""Fold shares of the logit of toxic into packed weights: fold_packed.py PACKED_FOLDER OUT"""
import shutil,sys
from pathlib import Path
import numpy as np
from toxic_model.packed import HEAD_BIAS,HEAD_WEIGHT,WORD_EMBEDDINGS,pack_weights,read_tensors,unpack_weights,write_tensors
from toxic_training.modelling.classifier import add_toxic_logit
source,out=Path(sys.argv[1]),Path(sys.argv[2]); (out/'tokenizer').mkdir(parents=True,exist_ok=True)
w=unpack_weights(read_tensors(source))
k,b=add_toxic_logit(w[HEAD_WEIGHT].T,w[HEAD_BIAS],{'severe_toxic':1.0,'obscene':1.0,'threat':.25,'insult':.5})
w[HEAD_WEIGHT],w[HEAD_BIAS]=np.ascontiguousarray(k.T),b
write_tensors(pack_weights(w,table=WORD_EMBEDDINGS),out)
shutil.copy(source/'config.json',out/'config.json'); shutil.copy(source/'tokenizer'/'tokenizer.json',out/'tokenizer'/'tokenizer.json')
