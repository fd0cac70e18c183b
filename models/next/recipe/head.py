import numpy as np,pandas as pd
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score as auc
d=np.load('RUN/f6.npz'); k,b=d['k'],d['b']
sp=lambda a,c: round(pd.Series(a).corr(pd.Series(c),method='spearman'),4)
def show(name,w,c):
    s={n:d[n]@w+c for n in ('persp','jig','val','bias_en','bias_nl','bias_hi-Latn','tr')}
    kk=~np.isnan(d['persp_y'][:,2]); T=d['persp_y'][:,0]
    j={l:round(auc(d['jig_y'][d['jig_l']==l],s['jig'][d['jig_l']==l]),4) for l in ('en','es','it','tr')}
    vm=[]
    for l in np.unique(d['val_l']):
        for so in np.unique(d['val_s'][d['val_l']==l]):
            m=(d['val_l']==l)&(d['val_s']==so); y=d['val_y'][m]
            if y.sum()>=30 and (1-y).sum()>=30: vm.append(auc(y,s['val'][m]))
    print(name,'TOX',sp(s['persp'],T),'prompts',sp(s['persp'][kk],T[kk]),'other',sp(s['persp'][~kk],T[~kk]),'len',sp(s['persp'],d['persp_n']),j,'val',round(np.mean(vm),4),'bias',[round(auc(d['bias_'+l+'_y'],s['bias_'+l]),3) for l in ('en','nl','hi-Latn')],flush=True)
w0,c0=k[:,0],b[0]; show('now',w0,c0)
X,ln=d['tr'],np.log(d['tr_n']); mu=X.mean(0)
for a in (1.,30.):
    r=Ridge(a).fit(X,ln); print('probe R2 test',round(r.score(d['persp'],np.log(d['persp_n'])),3), round(r.score(d['val'],np.log(d['val_n'])),3))
    for al in (.1,.2,.3,.4,.6): show(f'alpha {al}',w0+al*r.coef_,c0+al*r.intercept_)
# slopes on harmless English validation rows
for nm in ('val','tr'):
    y=d[nm+'_y'] if nm=='val' else d[nm+'_y'][:,0]; en=(d[nm+'_l']=='en')&(y==0); s=d[nm]@w0+c0; n=np.log(d[nm+'_n'])
    print(nm,'harmless en slope',np.polyfit(n[en],s[en],1)[0].round(3),'spearman',sp(s[en],n[en]),'toxic slope',np.polyfit(n[(d[nm+'_l']=='en')&(y==1)],s[(d[nm+'_l']=='en')&(y==1)],1)[0].round(3), en.sum())
print('--- centred by language')
y=d['tr_y'][:,0]; L=d['tr_l']; P=d['tr']@w0+c0; n=np.log(d['tr_n'])
def cen(v):
    v=np.array(v,float)
    for l in np.unique(L): v[L==l]-=v[L==l].mean(0)
    return v
for lam in (1.,10.,30.):
    r=Ridge(lam).fit(cen(d['tr']),cen(n)); v=r.coef_
    h=(y==0)
    def cenh(z):
        z=np.array(z[h],float)
        for l in np.unique(L[h]): z[L[h]==l]-=z[L[h]==l].mean(0)
        return z
    nn=cenh(n); s=(nn@cenh(P))/(nn@nn); rr=(nn@cenh(d['tr']@v))/(nn@nn); full=-s/rr
    print('lam',lam,'slope',s.round(3),'probe slope',rr.round(3),'full alpha',full.round(3))
    for share in (.3,.5,.7,1.): show(f'share {share}',w0+share*full*v,c0)
