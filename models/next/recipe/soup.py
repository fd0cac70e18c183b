import sys,keras,numpy as np
from toxic_training.modelling import classifier
out=sys.argv[1]; w=[float(x) for x in sys.argv[2].split(',')]; paths=sys.argv[3:]
ms=[keras.saving.load_model(p,compile=False) for p in paths]
W=[m.get_weights() for m in ms]
d=sum(float(np.linalg.norm(a-b)**2) for a,b in zip(W[0],W[-1]))**.5; n=sum(float(np.linalg.norm(a)**2) for a in W[0])**.5
print('distance',d,'norm',n)
ms[0].set_weights([sum(k*x[i].astype('f8') for k,x in zip(w,W)).astype(W[0][i].dtype) for i in range(len(W[0]))])
ms[0].save(out)
